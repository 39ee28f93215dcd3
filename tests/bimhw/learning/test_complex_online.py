"""Online learning of kind ``complex``: traces against autograd, norms as constants of a step, statistics against torch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import bimhw
import bimhw.nn as bnn
from bimhw.learning.forms.credit import CreditAssigner, input_jacobian
from bimhw.learning.forms.norms import SPAN, NormStatistics
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.rules.registry import LearnerSettings, make_learner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import without_loops
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError
from tests.bimhw.learning.test_rtrl_exact import B, by_autograd, by_traces, data, net_of


def complex_net(seed: int, **options: Any) -> BimNet:
    """Return a network in evaluation mode (running statistics), its norms not as they begin."""
    net = net_of(seed, kind="complex", **options).eval()
    generator = torch.Generator().manual_seed(seed + 2)
    for i in range(net.config.n_layers if net.config.norm == "batch" else 0):
        layer, h = net.layer(i), net.config.hidden[i]
        with torch.no_grad():
            layer.get_parameter("norm_gain").add_(0.3 * torch.rand(h, generator=generator))
            layer.get_parameter("norm_bias").add_(0.3 * torch.randn(h, generator=generator))
        layer.get_buffer("norm_mean").copy_(0.2 * torch.randn(h, generator=generator))
        layer.get_buffer("norm_var").copy_(0.2 + torch.rand(h, generator=generator))
    return net


options_of = st.fixed_dictionaries(
    {
        "norm": st.sampled_from(["none", "batch"]),
        "rotate": st.booleans(),
        "state_gain": st.sampled_from(["dc", "variance"]),
        "psp": st.sampled_from(["delta", "exp", "alpha"]),
        "reset": st.sampled_from(["soft", "hard"]),
        "detach_reset": st.booleans(),
        "refractory": st.sampled_from([0, 2]),
        "adapt_beta": st.sampled_from([0.0, 0.3]),
        "readout": st.sampled_from(["spike", "membrane"]),
        "k_membrane": st.sampled_from([0.0, 0.6]),
        "surrogate": st.sampled_from(["fast_sigmoid", "triangle"]),
    }
)


def relative(mine: dict[str, Tensor], exact: dict[str, Tensor], prefix: tuple[str, ...]) -> dict[str, float]:
    names = [n for n in exact if n.startswith(prefix)]
    return {n: float((mine[n] - exact[n]).abs().max() / exact[n].abs().max().clamp(min=1e-9)) for n in names}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(options_of, st.integers(0, 2**31))
def test_one_layer_is_exact(options: dict[str, Any], seed: int) -> None:
    net = complex_net(seed, **options)
    x, y = data(seed)
    with without_loops():
        exact, _ = by_autograd(net, x, y)
    errors = relative(by_traces(net, x, y), exact, ("readout", "layers"))
    assert len(errors) == sum(p.requires_grad for p in net.parameters())
    assert max(errors.values()) < 1e-10, errors


def test_every_parameter_has_a_gradient() -> None:
    """Else the comparison above would be of zeros."""
    net = complex_net(3, norm="batch", state_gain="variance")
    exact, rate = by_autograd(net, *data(3))
    assert 0.05 < rate < 0.9
    assert all(float(g.abs().max()) > 1e-4 for g in exact.values())


def test_without_rotation_and_norm_it_learns_as_diag() -> None:
    plain = net_of(5)
    same = BimNet(BimConfig(**{**_fields(plain), "kind": "complex"})).double().eval()
    same.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        layer = same.layer(0)
        layer.get_parameter("omega").zero_()
        layer.get_parameter("c_re").fill_(1.0)
        layer.get_parameter("c_im").zero_()
    x, y = data(5)
    wanted, found = by_traces(plain, x, y), by_traces(same, x, y)
    for name, g in wanted.items():
        torch.testing.assert_close(found[name], g, rtol=1e-10, atol=1e-12)


def _fields(net: BimNet) -> dict[str, Any]:
    return {name: getattr(net.config, name) for name in BimConfig.__struct_fields__}


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_top_layer_of_a_stack_is_exact(norm: str) -> None:
    net = complex_net(2, hidden=(6, 5), norm=norm, dense_readout=True)
    x, y = data(2)
    errors = relative(by_traces(net, x, y), by_autograd(net, x, y)[0], ("readout", "layers.1."))
    assert max(errors.values()) < 1e-10, errors


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("gain", ["dc", "variance"])
def test_the_jacobian_of_a_step_is_autograds(norm: str, gain: str) -> None:
    net = complex_net(2, hidden=(6, 5), norm=norm, state_gain=gain)
    state, (x, y) = net.initial_state(B), data(2)
    with torch.no_grad():
        for u in x[:9]:
            state = net.take(u, state).state
    u = x[9].clone().requires_grad_()
    logits, _, records = net.step(u, state)
    error = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    at_v, at_u = torch.autograd.grad((logits * error).sum(), [records[0].v_pre, u])
    with torch.no_grad():
        taken = net.take(x[9], state)
        found = CreditAssigner(net, "inst").signals(error, y[9], 1.0, taken.records, taken.state.layers)
        torch.testing.assert_close(found[0], at_v, rtol=1e-10, atol=1e-12)
        below = input_jacobian(net.layer(0), found[0], taken.records[0])
    torch.testing.assert_close(below, at_u, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("credit", ["filt-win", "filt-avg", "filt-inst", "inst", "dfa", "local"])
def test_every_credit_rule_gives_all_layers_a_gradient(credit: Any) -> None:
    net = complex_net(4, hidden=(6, 5, 4), norm="batch")
    found = by_traces(net, *data(4), credit=credit)
    assert all(bool(torch.isfinite(g).all()) and float(g.abs().max()) > 0 for g in found.values())


def test_statistics_of_a_sequence_are_those_of_torch() -> None:
    """Those of the first layer, whose q no norm has changed."""
    net = complex_net(6, norm="batch").train()
    offline = complex_net(6, norm="batch").train()
    x, y = data(6)
    offline.run(x)
    learner = RtrlLearner(net, B)
    for u, t in zip(x, y, strict=True):
        before = net.layer(0).get_buffer("norm_mean").clone()
        learner.observe(u, t)
        assert torch.equal(net.layer(0).get_buffer("norm_mean"), before)  # a constant of the sequence
    learner.finish()
    for name in ("norm_mean", "norm_var"):
        wanted = offline.layer(0).get_buffer(name)
        torch.testing.assert_close(net.layer(0).get_buffer(name), wanted, rtol=1e-10, atol=1e-12)
    moved = net.layer(0).get_buffer("norm_mean").clone()
    learner.finish()
    assert torch.equal(net.layer(0).get_buffer("norm_mean"), moved)  # nothing was seen since


def test_a_stream_moves_its_statistics_now_and_then_and_evaluation_keeps_them() -> None:
    for training in (True, False):
        net = complex_net(6, norm="batch").train(training)
        start, learner = net.layer(0).get_buffer("norm_mean").clone(), RtrlLearner(net, B)
        x, _ = data(6)
        for step in range(SPAN + 1):
            learner.observe(x[step % len(x)], None)
            same = torch.equal(net.layer(0).get_buffer("norm_mean"), start)
            assert same == (step < SPAN - 1 or not training)


def test_one_value_moves_nothing() -> None:
    net = complex_net(6, norm="batch").train()
    statistics, start = NormStatistics(net.layer(0)), net.layer(0).get_buffer("norm_var").clone()
    with torch.no_grad():
        statistics.observe(net.take(data(6)[0][0][:1], net.initial_state(1)).records[0])
    statistics.move()
    assert torch.equal(net.layer(0).get_buffer("norm_var"), start)


def test_a_learner_continues_from_its_checkpoint() -> None:
    nets = [complex_net(7, hidden=(6, 5), norm="batch").train() for _ in range(3)]
    whole, first, second = (make_learner(n, LearnerSettings(), B) for n in nets)
    x, y = data(7)
    results = [whole.observe(u, t) for u, t in zip(x, y, strict=True)]
    for u, t in zip(x[:7], y[:7], strict=True):
        first.observe(u, t)
    second.restore(first.checkpoint())
    for u, t, before in zip(x[7:], y[7:], results[7:], strict=True):
        result = second.observe(u, t)
        assert torch.equal(result.logits, before.logits)
        for name, g in (before.gradients or {}).items():
            assert torch.equal(result.gradients[name], g), name
    whole.finish()
    second.finish()
    assert torch.equal(nets[0].layer(1).get_buffer("norm_var"), nets[2].layer(1).get_buffer("norm_var"))


@pytest.mark.parametrize(
    "options", [{}, {"norm": "batch", "state_gain": "variance"}, {"adapt_beta": 0.2, "psp": "exp"}], ids=str
)
@pytest.mark.parametrize("output", ["spikes", "filtered", "membrane"])
def test_a_module_learns_online_what_autograd_says(options: dict[str, Any], output: Any) -> None:
    torch.manual_seed(0)
    layer = bnn.BIM(5, 6, kind="complex", output=output, theta=0.2, **options).double().eval()
    x = (torch.rand(SPAN + 20, 3, 5, generator=torch.Generator().manual_seed(1)) < 0.4).double()
    weights = torch.randn(len(x), 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (layer(x) * weights).sum().backward()
    wanted = {n: p.grad.clone() for n, p in layer.named_parameters() if p.grad is not None}
    layer.zero_grad()
    for u, w in zip(x, weights, strict=True):
        (layer.observe(u) * w).sum().backward()
    for name, g in wanted.items():
        torch.testing.assert_close(layer.get_parameter(name).grad, g, rtol=1e-9, atol=1e-9)


def test_a_module_in_training_moves_its_statistics_between_sequences() -> None:
    layer = bnn.BIM(5, 6, kind="complex", norm="batch").double()
    start = layer.get_buffer("norm_mean").clone()
    for _ in range(9):
        layer.observe(torch.ones(2, 5, dtype=torch.float64)).sum().backward()
    assert torch.equal(layer.get_buffer("norm_mean"), start)
    layer.reset()
    assert not torch.equal(layer.get_buffer("norm_mean"), start)


@pytest.mark.parametrize("form", ["seq", "tr", "blk"])
def test_forms_without_it_say_so(form: str) -> None:
    with pytest.raises(
        InputError, match=rf"in form '{form}': does not exist for layers of kind 'complex'\. Take form dense"
    ):
        make_learner(complex_net(1), LearnerSettings(form=form, credit="filt-win"), 2)
    with pytest.raises(InputError, match=rf"in form '{form}': does not exist for layers of kind 'complex'"):
        bnn.BIM(5, 6, kind="complex", form=form)


@pytest.mark.parametrize("rule", ["rtrl", "hybrid", "stdp", "frozen"])
def test_every_online_rule_trains_and_the_chip_follows(rule: str, tmp_path: Path) -> None:
    options = {"kind": "complex", "norm": "batch", "hidden": "12,8", "dense_readout": True, "epochs": 1, "batch": 32}
    done = bimhw.train("digits", tmp_path / "m.pt", rule=rule, **options)
    assert done.final.accuracy > 0.2
    program = bimhw.compile(tmp_path / "m.pt", "loihi2", task="digits", mapping="blocks").program
    assert bimhw.simulate(program, "digits", samples=20, model=tmp_path / "m.pt").result["accuracy"] > 0.1


def test_the_first_span_of_a_new_layer_sets_its_statistics() -> None:
    net = net_of(6, kind="complex", norm="batch").train()
    offline = net_of(6, kind="complex", norm="batch").train()
    x, y = data(6)
    offline.run(x)
    learner = RtrlLearner(net, B)
    for u, t in zip(x, y, strict=True):
        learner.observe(u, t)
    learner.finish()
    moved, start = offline.layer(0).get_buffer("norm_mean") / 0.05, torch.ones(6, dtype=torch.float64)
    torch.testing.assert_close(net.layer(0).get_buffer("norm_mean"), moved, rtol=1e-9, atol=1e-9)
    var = (offline.layer(0).get_buffer("norm_var") - 0.95 * start) / 0.05
    torch.testing.assert_close(net.layer(0).get_buffer("norm_var"), var, rtol=1e-9, atol=1e-9)
