"""Online learning of a text in one compiled loop against the same steps one by one, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.loop import Loop
from bimhw.learning.objectives import blocks
from bimhw.learning.objectives.language import online_loop
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.learning.objectives.scoring import Symbols, cut_streams
from bimhw.models.bim.net import BimNet
from bimhw.tasks import load_corpus

STREAMS = 3


def _learn(epochs: int = 1, symbols: int = 24, **options: Any) -> tuple[Loop[torch.Tensor], BimNet]:
    corpus = load_corpus("lm")
    config, settings, init = language_recipe(corpus, 0, batch=STREAMS, epochs=epochs, **options)
    net = BimNet(config, 0, init).double()
    loop = online_loop(net, cut_streams(corpus.whole_train[: STREAMS * symbols], STREAMS), settings)
    encode = loop.source.encode  # type: ignore[attr-defined]
    loop.source.encode = lambda symbols: encode(symbols).double()  # type: ignore[attr-defined]
    loop.run(epochs, lambda _: None)
    return loop, net


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (33,)},
        {"psp": "alpha", "tau_s": 2.0, "learn_a_log": True, "epochs": 2},
        {"psp": "exp", "tau_s": 2.0, "reset": "hard", "refractory": 2, "hidden": (7,)},
        {"readout": "membrane", "delays": (0, 3)},
        {"detach_reset": True, "surrogate": "triangle", "delays": (0,)},
        {"kind": "s6", "hidden": (33,), "discretisation": "zoh", "epochs": 2},
        {"kind": "s6", "hidden": (7,), "n_states": 3, "discretisation": "euler", "psp": "alpha", "tau_s": 2.0},
        {"kind": "s6", "reset": "hard", "refractory": 2, "readout": "membrane"},
        {
            "kind": "s6",
            "reset": "hard",
            "detach_reset": True,
            "surrogate": "triangle",
            "n_states": 2,
            "learn_a_log": False,
        },
    ],
)
def test_equals_the_steps_one_by_one(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float | None] = []
    stretch = blocks.learn_stretch
    monkeypatch.setattr(blocks, "learn_stretch", lambda *a: taken.append(stretch(*a)) or taken[-1])
    fast, net = _learn(**options)
    assert None not in taken and taken
    monkeypatch.setattr(blocks, "learn_stretch", lambda *_: None)
    slow, twin = _learn(**options)
    assert [e.loss for e in fast.history] == pytest.approx([e.loss for e in slow.history], rel=1e-12)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)
    _equal(fast.state(), slow.state())


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (33,), "block": 4, "lookback": 12},
        {"psp": "alpha", "tau_s": 2.0, "learn_a_log": True, "epochs": 2, "block": 5, "lookback": 3},
        {"psp": "exp", "tau_s": 2.0, "reset": "hard", "refractory": 2, "hidden": (7,), "block": 3, "lookback": 40},
        {"readout": "membrane", "delays": (0, 3), "block": 1, "lookback": 2},
        {"detach_reset": True, "surrogate": "triangle", "delays": (0,), "block": 6, "lookback": 0},
        {"reset": "hard", "detach_reset": True, "credit": "exact", "lr_end": 0.1, "block": 4, "lookback": 1},
    ],
)
def test_windows_equal_the_steps_one_by_one(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """23 steps, so that some fill no window; two passes, so that a stretch begins with a history."""
    loops: list[int] = []
    takes = blocks.ByBlocks._takes_windows
    monkeypatch.setattr(blocks.ByBlocks, "_takes_windows", lambda *a: loops.append(takes(*a)) or loops[-1])
    fast, net = _learn(form="tr", **options)
    assert any(loops)
    monkeypatch.setattr(blocks.ByBlocks, "_takes_windows", lambda *_: False)
    monkeypatch.setattr(SweepLearner, "takes_blocks", False)
    slow, twin = _learn(form="tr", **options)
    assert [e.loss for e in fast.history] == pytest.approx([e.loss for e in slow.history], rel=1e-12)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-10)  # Adam divides by the size of small gradients
    ones, others = (loop.method.learner for loop in (fast, slow))  # type: ignore[attr-defined]
    assert ones.counts == others.counts and ones.since == others.since
    assert list(map(len, ones.histories)) == list(map(len, others.histories))
    for one, other in zip(ones.histories[0].steps(), others.histories[0].steps(), strict=True):
        assert torch.equal(one[0], other[0])
        for a, b in zip(one[1][1:], other[1][1:], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_windows_go_on_over_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of 8 steps in windows of 4: each begins with the history that the one before left."""
    results = []
    for length in (8, 256):
        monkeypatch.setattr(Symbols, "steps", lambda *_, length=length: length)
        loop, net = _learn(form="tr", block=4, lookback=12, symbols=65, lr_end=1.0)
        results.append([p.detach().clone() for p in net.parameters()])
        assert len(loop.source.starts) == -(-64 // length)  # type: ignore[attr-defined]
    for p, q in zip(*results, strict=True):
        assert torch.equal(p, q)


def _equal(a: Any, b: Any) -> None:
    """Checkpoints hold the same: weights, moments, states, traces, counts."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            _equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _equal(x, y)
    elif isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-12)
    else:
        assert a == b


@pytest.mark.parametrize(
    "options",
    [
        {"clip": 1.0},
        {"prune": 0.2},
        {"rate_strength": 0.1},
        {"optimiser": "sgd"},
        {"kind": "s6", "adapt_beta": 0.1},
        {"hidden": (8, 8)},
        {"adapt_beta": 0.1},
        {"form": "blk"},
        {"rule": "frozen"},
    ],
)
def test_what_the_loop_does_not_know_goes_step_by_step(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stretch = blocks.learn_stretch

    def checked(*arguments: Any) -> float | None:
        assert stretch(*arguments) is None
        return None

    monkeypatch.setattr(blocks, "learn_stretch", checked)
    loop, _ = _learn(symbols=8, **({"hidden": (8,)} | options))
    assert loop.history[0].loss > 0
