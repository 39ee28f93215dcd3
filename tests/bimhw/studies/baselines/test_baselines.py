"""The baselines: causal, resumable, equal to plain code, and able to learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bimhw.learning.objectives.language import LanguageSettings
from bimhw.studies.baselines.fit import FitSettings, fit_task, fit_text, score_windows
from bimhw.studies.baselines.models import NAMES, LifNet, MambaBlock, build, count, hidden_for
from bimhw.tasks.sources.sequences import Part, graded_task
from bimhw.tasks.sources.text import character_corpus
from simulator.base.errors import InputError


def data(steps: int = 11, batch: int = 3, width: int = 5) -> torch.Tensor:
    return torch.randn(steps, batch, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_no_logit_sees_the_future(name: str) -> None:
    model = build(name, 5, 3, 8, seed=0)
    x = data()
    changed = x.clone()
    changed[6:] += 10
    a, b = model(x)[0], model(changed)[0]
    torch.testing.assert_close(a[:6], b[:6])
    assert not torch.allclose(a[6:], b[6:])


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_state_continues_a_sequence(name: str) -> None:
    model = build(name, 5, 3, 8, seed=0)
    if not model.carries:
        pytest.skip("sees its window only")
    x = data()
    whole = model(x)[0]
    first, state = model(x[:4])
    second, state = model(x[4:5], state)
    third, _ = model(x[5:], state)
    torch.testing.assert_close(torch.cat([first, second, third]), whole)


@torch.no_grad()
def test_mamba_equals_the_written_recurrence() -> None:
    """One neuron at a time, in plain numpy, from the equations of the paper."""
    model = MambaBlock(3, 2, 4, states=2, kernel=2).double()
    x = data(5, 1, 3).double()
    p = {k: v.numpy() for k, v in model.state_dict().items()}
    h = x[:, 0].numpy() @ p["embed.weight"].T + p["embed.bias"]
    normed = h / np.sqrt((h**2).mean(-1, keepdims=True) + np.finfo(float).eps) * p["norm.weight"]
    u, gate = np.split(normed @ p["expand.weight"].T, 2, axis=1)
    line = np.concatenate([np.zeros((1, 8)), u])
    u = np.stack([(line[t : t + 2].T * p["conv.weight"][:, 0]).sum(1) + p["conv.bias"] for t in range(5)])
    u = u / (1 + np.exp(-u))
    mixed = u @ p["select.weight"].T
    delta = np.log1p(np.exp(mixed[:, :1] @ p["to_delta.weight"].T + p["to_delta.bias"]))
    state, y = np.zeros((8, 2)), np.zeros((5, 8))
    for t in range(5):
        for i in range(8):
            for n in range(2):
                state[i, n] *= np.exp(-delta[t, i] * np.exp(p["a_log"][i, n]))
                state[i, n] += delta[t, i] * mixed[t, 1 + n] * u[t, i]
                y[t, i] += mixed[t, 3 + n] * state[i, n]
    y = (y + p["d"] * u) * gate / (1 + np.exp(-gate))
    logits = (h + y @ p["back.weight"].T) @ p["readout.weight"].T + p["readout.bias"]
    np.testing.assert_allclose(model(x)[0][:, 0].numpy(), logits, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_lif_equals_the_written_rule() -> None:
    model = LifNet(3, 2, 4).double()
    x = 3 * data(9, 1, 3).double()
    p = {k: v.numpy() for k, v in model.state_dict().items()}
    v, s, f = np.zeros(4), np.zeros(4), np.zeros(4)
    spikes = []
    for u in x[:, 0].numpy():
        v = v / (1 + np.exp(-p["leak"])) + p["drive.weight"] @ u + p["drive.bias"] + p["back.weight"] @ s
        s = (v >= 1).astype(float)
        v, f = v - s, 0.8 * f + 0.2 * s
        spikes.append(s)
    logits, _ = model(x)
    assert model.spikes is not None
    np.testing.assert_array_equal(model.spikes[:, 0].numpy(), spikes)
    np.testing.assert_allclose(logits[-1, 0].numpy(), p["readout.weight"] @ f + p["readout.bias"], rtol=1e-9)
    assert 0 < np.mean(spikes) < 1


def test_width_for_a_number_of_parameters() -> None:
    for name in NAMES:
        width = hidden_for(name, 32, 10, 14_000)
        there = abs(count(build(name, 32, 10, width, 0)) - 14_000)
        for other in (width - 4, width + 4):
            if other >= 4:
                assert there <= abs(count(build(name, 32, 10, other, 0)) - 14_000)


def test_unknown_baseline() -> None:
    with pytest.raises(InputError, match="gru, lstm"):
        build("rnn", 1, 1, 4, 0)
    with pytest.raises(InputError, match="1024 positions"):
        build("transformer", 1, 1, 4, 0)(torch.zeros(1025, 1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_learns_a_task_and_repeats_it(name: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = [rng.normal(size=(8, 3)) + label for label in y]
    task = graded_task("toy", Part(x[:40], y[:40]), Part(x[40:], y[40:]), 2, {}, metric="auc")
    settings = FitSettings(hidden=8, epochs=12, batch=10, lr=0.02)
    a, b = fit_task(name, task, settings), fit_task(name, task, settings)
    assert a.accuracy == b.accuracy
    assert a.accuracy is not None
    assert a.accuracy >= 0.8
    assert a.auc_roc is not None
    assert a.auc_roc > 0.85
    assert (a.updates, a.seen) == (48, 480)
    assert a.memory_words > 0
    assert (a.rate is not None) == (name in ("lif", "s4d-lif"))


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_learns_a_text(name: str) -> None:
    corpus = character_corpus("abcd, efgh. " * 900)
    settings = LanguageSettings(rule="tbptt", epochs=3, lr=0.02, batch=4, window=16)
    result = fit_text(name, corpus, 16, settings)
    assert result.bits_per_character is not None
    assert result.bits_per_character < 0.3, "the text repeats every 12 symbols: almost nothing is left to guess"


def test_windows_score_every_symbol_once() -> None:
    """A model of fixed probabilities: its bits do not depend on how the text is cut."""

    class Fixed(LifNet):
        def forward(self, x: torch.Tensor, state: object = None) -> tuple[torch.Tensor, object]:
            logits = torch.log(torch.tensor([0.7, 0.2, 0.1]))
            return logits.expand(*x.shape[:2], 3), None

    ids = np.random.default_rng(0).integers(0, 3, 500).astype(np.int32)
    nll, tokens = score_windows(Fixed(3, 3, 4), ids, 3, 16)
    at = 9 + np.arange(tokens)
    assert nll == pytest.approx(float(-np.log(np.array([0.7, 0.2, 0.1]))[ids[at]].sum()), rel=1e-6)
    assert tokens >= 500 - 9 - 16
