"""Residual stacks: gradients of every path against autograd of the sum written out, credit signals, windows, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.forms.credit import CreditAssigner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.forms.traces import spike_slope
from bimhw.learning.rules.registry import LearnerSettings, make_learner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import without_loops
from bimhw.models.bim.net import BimNet
from bimhw.models.io import load_model, save_model
from bimhw.models.registry import config_to_json
from simulator.base.errors import InputError
from tests.bimhw.models.test_delays import KINDS, equal, gradients, network, reference, spikes_in, whole_and_in_parts

HIDDEN = [(4, 4, 3), (4, 4, 4), (3, 3, 3, 5), (3, 3, 3, 3, 2)]


@st.composite
def configs(draw: st.DrawFn) -> BimConfig:
    """Draw residual networks of three to five layers."""
    fields = draw(st.sampled_from(KINDS)) | {
        "hidden": draw(st.sampled_from(HIDDEN)),
        "psp": draw(st.sampled_from(["delta", "exp", "alpha"])),
        "reset": draw(st.sampled_from(["soft", "hard"])),
        "refractory": draw(st.sampled_from([0, 2])),
        "readout": draw(st.sampled_from(["spike", "membrane"])),
        "dense_readout": draw(st.booleans()),
        "hidden_delays": draw(st.sampled_from([0, 0, 3])),
        "input_delays": draw(st.sampled_from([(0,), (0, 2)])),
    }
    return BimConfig(n_in=3, n_out=2, theta=0.2, residual=True, **fields)


def net_of(**fields: Any) -> BimNet:
    return network(
        BimConfig(**({"n_in": 3, "hidden": (5, 5, 5, 4), "n_out": 2, "theta": 0.2, "residual": True} | fields))
    )


@given(configs(), st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_gradients_are_those_of_the_sum_written_out(config: BimConfig, seed: int) -> None:
    x = spikes_in(8, seed)
    wanted = gradients(a := network(config, seed), reference(a, x))
    equal(gradients(net := network(config, seed), run_compiled(net, x).logits), wanted)
    with without_loops():
        equal(gradients(net := network(config, seed), run_compiled(net, x).logits), wanted)


def sequence_gradients(net: BimNet, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    functional.cross_entropy(reference(net, x).flatten(0, 1), y.repeat(len(x))).backward()
    return {n: len(x) * p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS[:4], ids=str)
@pytest.mark.parametrize("form", ["seq", "tr"])
def test_sweeps_are_exact_through_all_layers(kind: dict[str, Any], form: str) -> None:
    net, x, y = net_of(hidden_delays=3, **kind), spikes_in(12), torch.tensor([0, 1])
    wanted = sequence_gradients(net, x, y)
    assert float(wanted["layers.0.w_in"].abs().max()) > 1e-4
    learner = make_learner(net, LearnerSettings(form=form, credit="exact", block=12, lookback=3), 2)
    found: dict[str, Tensor] = {}
    for u in x:
        found |= learner.observe(u, y).gradients or {}
    equal(found | (learner.finish() or {}), wanted)


def test_sequences_and_blocks_at_once_are_the_steps() -> None:
    net, x, y = net_of(), spikes_in(12), torch.tensor([0, 1])
    wanted = sequence_gradients(net, x, y)
    learner = SweepLearner(net, 2)
    assert learner.takes_sequences
    equal(learner.sequence(x, y, torch.ones(12, dtype=torch.bool))[1], wanted)
    block = SweepLearner(net, 2, block=12)
    assert block.takes_blocks
    equal(block.learn_block(x, y.expand(12, 2))[1], wanted)


@pytest.mark.parametrize(
    ("form", "kind"), [(f, k) for f in ("dense", "tr") for k in KINDS[:4]] + [("blk", KINDS[0])], ids=str
)
def test_online_forms_are_exact_for_the_top_layer(form: str, kind: dict[str, Any]) -> None:
    net, x, y = net_of(**kind), spikes_in(12), torch.tensor([0, 1])
    wanted = sequence_gradients(net, x, y)
    learner = make_learner(net, LearnerSettings(form=form, credit="filt-win", block=4, lookback=12), 2)
    found: dict[str, Tensor] = {}
    for step in [*(learner.observe(u, y).gradients for u in x), learner.finish()]:
        for name, g in (step or {}).items():
            found[name] = found.get(name, torch.zeros_like(g)) + g
    equal(found, {n: g for n, g in wanted.items() if n.startswith(("layers.3.", "readout"))})


def test_credit_signals_come_from_all_layers_above() -> None:
    net = net_of(dense_readout=True)
    state = net.initial_state(2)
    with torch.no_grad():
        for u in spikes_in(6):
            taken = net.take(u, state)
            state = taken.state
    error = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = CreditAssigner(net, "filt-win").signals(error, torch.tensor([0, 1]), 1.0, taken.records, state.layers)
    heads = torch.split(net.readout.weight.detach(), list(net.config.hidden), 1)
    wanted: list[Tensor] = [error @ heads[3]]
    for i in (2, 1, 0):
        above = [
            (spike_slope(taken.records[k], net.config) * wanted[k - i - 1])
            @ net.layer(k).get_parameter("w_in").detach()
            for k in range(i + 1, 4)
        ]
        wanted.insert(0, error @ heads[i] + sum(above[1:], above[0]))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [{}, {"kind": "s6", "n_states": 2}], ids=str)
def test_inst_is_the_jacobian_of_the_same_step(kind: dict[str, Any]) -> None:
    """Autograd of one step from a state that stands still; of a bias b_in it gives dL/dV- times dV-/db."""
    net, y = net_of(**kind), torch.tensor([0, 1])
    state = net.initial_state(2)
    with torch.no_grad():
        for u in (xs := spikes_in(6))[:5]:
            state = net.take(u, state).state
    net.zero_grad()
    logits, _, records = net.step(xs[5], state)
    error = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    wanted = torch.autograd.grad((logits * error).sum(), [r.v_pre for r in records[:-1]])
    with torch.no_grad():
        taken = net.take(xs[5], state)
        found = CreditAssigner(net, "inst").signals(error, y, 1.0, taken.records, taken.state.layers)
    for a, b in zip(found[:-1], wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_steps_and_windows_are_the_whole_sequence(kind: dict[str, Any]) -> None:
    whole_and_in_parts(net_of(hidden_delays=4, **kind), spikes_in(20))


@pytest.mark.parametrize("form", ["dense", "seq", "tr", "lazy"])
def test_a_learner_continues_from_its_checkpoint(form: str) -> None:
    net = net_of(dense_readout=True)
    batch = 1 if form == "lazy" else 2
    x, y = spikes_in(12)[:, :batch], torch.tensor([0, 1])[:batch]
    settings = LearnerSettings(form=form, credit="direct", block=5, lookback=3, lr=0.0)
    whole, first, second = (make_learner(net, settings, batch) for _ in range(3))
    results = [whole.observe(u, y) for u in x]
    with torch.no_grad():
        torch.testing.assert_close(torch.stack([r.logits for r in results]), net.run(x).logits, rtol=1e-12, atol=1e-12)
    for u in x[:7]:
        first.observe(u, y)
    second.restore(first.checkpoint())
    for u, before in zip(x[7:], results[7:], strict=True):
        result = second.observe(u, y)
        assert torch.equal(result.logits, before.logits)
        for name, g in (before.gradients or {}).items():
            assert torch.equal(result.gradients[name], g), name


def test_weights_are_those_of_the_plain_stack_and_files_keep_the_field(tmp_path: Path) -> None:
    plain, adds = (BimNet(BimConfig(n_in=3, hidden=(5, 5, 4), n_out=2, residual=r), 7) for r in (False, True))
    for name, value in plain.state_dict().items():
        assert torch.equal(adds.state_dict()[name], value)
    assert "residual" not in config_to_json(plain.config)
    for suffix in ("pt", "safetensors"):
        assert load_model(save_model(adds, tmp_path / f"m.{suffix}")).config == adds.config


@pytest.mark.parametrize(
    ("hidden", "message"), [((5, 4), "needs a third layer"), ((5, 6, 4), r"have \(5, 6\) neurons, not one width")]
)
def test_stacks_that_cannot_add_are_refused(hidden: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=f"model config: residual.*{message}"):
        BimConfig(n_in=3, hidden=hidden, n_out=2, residual=True)
