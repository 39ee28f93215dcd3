"""Learnable delays: gradients of every path against autograd of the written-out sum, windows against whole sequences, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.rules.registry import LearnerSettings, make_learner
from bimhw.models.bim import cell, complex_state
from bimhw.models.bim.cell import Drive, LayerState
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.delays import Axons
from bimhw.models.bim.loops import without_loops
from bimhw.models.bim.net import BimNet, Init, NetState
from bimhw.models.io import load_model, save_model
from bimhw.models.registry import config_to_json
from simulator.base.errors import InputError

KINDS: list[dict[str, Any]] = [
    {"kind": "diag"},
    {"kind": "diag", "adapt_beta": 0.2, "learn_a_log": True},
    {"kind": "s6", "n_states": 2},
    {"kind": "s6", "n_states": 3, "discretisation": "euler", "detach_reset": False},
    {"kind": "complex", "norm": "none", "state_gain": "variance"},
    {"kind": "complex", "norm": "batch"},
]


@st.composite
def configs(draw: st.DrawFn) -> BimConfig:
    """Draw networks of two or three layers with delays between them, before them, or both."""
    fields = draw(st.sampled_from(KINDS)) | {
        "hidden": draw(st.sampled_from([(4, 3), (3, 4, 2)])),
        "psp": draw(st.sampled_from(["delta", "exp", "alpha"])),
        "reset": draw(st.sampled_from(["soft", "hard"])),
        "refractory": draw(st.sampled_from([0, 2])),
        "readout": draw(st.sampled_from(["spike", "membrane"])),
        "dense_readout": draw(st.booleans()),
        "hidden_delays": draw(st.sampled_from([1, 2, 5, 9])),
        "channel_delays": draw(st.sampled_from([0, 1, 4])),
        "input_delays": draw(st.sampled_from([(0,), (0, 2)])),
        "delay_width": draw(st.integers(1, 4)),
    }
    return BimConfig(n_in=3, n_out=2, theta=0.2, **fields)


def network(config: BimConfig, seed: int = 0) -> BimNet:
    """Return a network in double precision whose readout is not 0, with delays of 0 and of D among the drawn ones."""
    net = BimNet(config, seed).double()
    with torch.no_grad():
        net.readout.weight.normal_(generator=torch.Generator().manual_seed(seed))
        for name, p in net.named_parameters():
            if name.endswith("delay"):
                p[0], p[-1] = 0.0, 1.0
    return net


def spikes_in(steps: int, seed: int = 0) -> Tensor:
    return (torch.rand(steps, 2, 3, generator=torch.Generator().manual_seed(seed)) < 0.5).double()


def written_out(u: Tensor, share: Tensor, longest: int, width: int) -> Tensor:
    """Delay inputs [T, B, M] by the equations of `bimhw.models.bim.delays`, element by element."""

    def at(t: int, j: int) -> Tensor:
        return u[t, :, j] if t >= 0 else u.new_zeros(u.shape[1])

    out = []
    for j, p in enumerate(share.detach().tolist()):
        n = round(float(np.float32(p) * np.float32(longest)))
        pairs = [(max(n - k, 0), min(n + k, longest)) for k in range(1, width + 1)]
        for t in range(len(u)):
            rise = sum((at(t - hi, j) - at(t - lo, j)).detach() for lo, hi in pairs)
            slope = rise / sum(hi - lo for lo, hi in pairs)
            out.append(at(t - n, j) + longest * (share[j] - share[j].detach()) * slope)
    return torch.stack(out).view(u.shape[2], u.shape[0], u.shape[1]).permute(1, 2, 0)


def reference(net: BimNet, x: Tensor) -> Tensor:
    """Return the logits of a network, its sums and delays written out and its layers by the operations of one step."""
    config, features, below = net.config, list[Tensor](), list[Tensor]()
    first, _ = net.delayed(x, net.initial_state(x.shape[1]).taps)
    for i in range(config.n_layers):
        layer, longest = net.layer(i), config.longest_delay(i)
        read = below if config.residual else below[-1:]
        signal = sum(read[1:], read[0]) if read else first
        if longest:
            signal = written_out(signal, layer.get_parameter("delay"), longest, config.delay_width)
        state, drive = cell.zero_state(config, i, x.shape[1], x), layer.project(signal)
        if config.kind == "complex":
            with without_loops():
                _, f, s = complex_state.run(layer, drive, state)
        else:
            f, s = _by_steps(net, i, drive, state)
        features.append(f)
        below.append(s)
    return net.readout(net.features(features))


def _by_steps(net: BimNet, index: int, drive: Drive, state: LayerState) -> tuple[Tensor, Tensor]:
    layer, config, fs, spikes = net.layer(index), net.config, list[Tensor](), list[Tensor]()
    b = drive.b if drive.b is not None else [None] * len(drive.z)
    own = layer.get_parameter("a_log"), layer.get_parameter("d")
    for parts in zip(drive.z, drive.d, b, drive.c, strict=True):
        state, record = cell.advance(Drive(*parts), *own, state, config, layer.constants, config.reads_membrane(index))
        fs.append(state.f)
        spikes.append(record.s)
    return torch.stack(fs), torch.stack(spikes)


def loss_of(logits: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    return (weights * logits).sum() + 0.1 * logits.square().sum()


def gradients(net: BimNet, logits: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    loss_of(logits).backward()
    return {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


def equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() >= wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@given(configs(), st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_gradients_are_those_of_the_sum_written_out(config: BimConfig, seed: int) -> None:
    x = spikes_in(8, seed)
    wanted = gradients(a := network(config, seed), reference(a, x))
    assert any(name.endswith("delay") for name in wanted)
    equal(gradients(net := network(config, seed), run_compiled(net, x).logits), wanted)
    with without_loops():
        equal(gradients(net := network(config, seed), run_compiled(net, x).logits), wanted)


def test_delays_get_gradients_that_are_not_zero() -> None:
    net = network(BimConfig(n_in=3, hidden=(8, 6), n_out=2, theta=0.2, hidden_delays=6, channel_delays=3))
    found = gradients(net, run_compiled(net, spikes_in(20)).logits)
    assert float(found["layers.1.delay"].abs().max()) > 1e-3
    assert float(found["layers.0.delay"].abs().max()) > 1e-3


def test_of_width_one_it_is_the_mean_slope_of_linear_interpolation() -> None:
    u = torch.rand(12, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    longest, share = 5, torch.tensor([0.0, 0.4, 0.6, 1.0], dtype=torch.float64)
    axons = Axons.of(share, longest, 1)
    assert axons.steps.tolist() == [0, 2, 3, 5]
    line = axons.line(u, None)

    def interpolated(d: Tensor) -> Tensor:
        low = d.floor().clamp(0, longest - 1).long()
        return axons.at(line, low) + (d - low) * (axons.at(line, low + 1) - axons.at(line, low))

    step = torch.tensor(0.25, dtype=torch.float64)
    after = (interpolated(axons.steps + step) - axons.at(line, axons.steps)) / step
    before = (axons.at(line, axons.steps) - interpolated(axons.steps - step)) / step
    wanted = torch.stack(
        [after[..., 0], (after[..., 1] + before[..., 1]) / 2, (after[..., 2] + before[..., 2]) / 2, before[..., 3]], -1
    )
    torch.testing.assert_close(axons.slope(line), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [1, 3, 7])
def test_the_slope_of_a_ramp_is_exact(width: int) -> None:
    u = torch.arange(20, dtype=torch.float64)[:, None, None].expand(-1, 2, 6)
    axons = Axons.of(torch.linspace(0, 1, 6), 5, width)
    slope = axons.slope(axons.line(u, None))
    torch.testing.assert_close(slope[5:], -torch.ones_like(slope[5:]), rtol=1e-12, atol=1e-12)


def whole_and_in_parts(net: BimNet, x: Tensor) -> tuple[NetState, NetState, NetState]:
    """Check that windows and single steps give the logits of the whole of 20 steps; return the states at the three ends."""
    with torch.no_grad():
        whole = net.run(x)
        state, parts = net.initial_state(2), list[Tensor]()
        for length in (1, 3, 9, 7):
            run = net.run(x[len(parts) : len(parts) + length], state)
            state = run.state
            parts += list(run.logits)
        single, steps = net.initial_state(2), []
        for u in x:
            logits, single, _ = net.step(u, single)
            steps.append(logits)
    for found in (parts, steps):
        torch.testing.assert_close(torch.stack(found), whole.logits, rtol=1e-12, atol=1e-12)
    return state, single, whole.state


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_steps_and_windows_are_the_whole_sequence(kind: dict[str, Any]) -> None:
    config = BimConfig(n_in=3, hidden=(5, 4, 3), n_out=2, theta=0.2, hidden_delays=7, channel_delays=2, **kind)
    state, single, whole = whole_and_in_parts(network(config), spikes_in(20))
    for a, b, c in zip(state.layers, single.layers, whole.layers, strict=True):
        assert torch.equal(a.line, c.line) and torch.equal(b.line, c.line)


def test_a_loss_behind_a_window_reaches_the_state_before_it() -> None:
    config = BimConfig(n_in=3, hidden=(5, 4), n_out=2, theta=0.2, hidden_delays=4)
    x = spikes_in(14)
    net = network(config)
    whole = gradients(net, run_compiled(net, x).logits)
    net = network(config)
    first = run_compiled(net, x[:6])
    second = run_compiled(net, x[6:], first.state)
    equal(gradients(net, torch.cat([first.logits, second.logits])), whole)


def _sequence_gradients(net: BimNet, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    logits = run_compiled(net, x).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(x))).backward()
    return {n: len(x) * p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS[:4], ids=str)
@pytest.mark.parametrize("form", ["seq", "tr"])
def test_sweeps_learn_delays_exactly(kind: dict[str, Any], form: str) -> None:
    config = BimConfig(
        n_in=3, hidden=(5, 4, 3), n_out=2, theta=0.2, hidden_delays=5, channel_delays=2, delay_width=2, **kind
    )
    net, x, y = network(config), spikes_in(12), torch.tensor([0, 1])
    wanted = _sequence_gradients(net, x, y)
    settings = LearnerSettings(form=form, credit="exact", block=12, lookback=3)
    learner = make_learner(net, settings, 2)
    found: dict[str, Tensor] = {}
    for u in x:
        result = learner.observe(u, y)
        found |= result.gradients or {}
    found |= learner.finish() or {}
    equal(found, wanted)


def test_a_sequence_at_once_is_the_steps() -> None:
    net = network(BimConfig(n_in=3, hidden=(5, 4), n_out=2, theta=0.2, hidden_delays=5, channel_delays=2))
    x, y = spikes_in(12), torch.tensor([0, 1])
    learner = SweepLearner(net, 2)
    assert learner.takes_sequences
    _, found, _ = learner.sequence(x, y, torch.ones(12, dtype=torch.bool))
    equal(found, _sequence_gradients(net, x, y))


@pytest.mark.parametrize("form", ["dense", "tr", "blk"])
def test_online_forms_are_exact_for_the_top_layers_weights(form: str) -> None:
    """Delays stand still but in `tr`; the weights behind them see the delayed spikes."""
    net = network(BimConfig(n_in=3, hidden=(5, 4), n_out=2, theta=0.2, hidden_delays=5))
    x, y = spikes_in(12), torch.tensor([0, 1])
    wanted = _sequence_gradients(net, x, y)
    learner = make_learner(net, LearnerSettings(form=form, credit="filt-win", block=4, lookback=12), 2)
    found: dict[str, Tensor] = {}
    for u in x:
        for name, g in (learner.observe(u, y).gradients or {}).items():
            found[name] = found.get(name, 0) + g
    for name, g in (learner.finish() or {}).items():
        found[name] = found.get(name, 0) + g
    top = {n: g for n, g in wanted.items() if n.startswith(("layers.1.w", "layers.1.b", "readout"))}
    equal(found, top)
    assert ("layers.1.delay" in found) == (form == "tr")


def test_a_learner_continues_from_its_checkpoint() -> None:
    net = network(BimConfig(n_in=3, hidden=(5, 4), n_out=2, theta=0.2, hidden_delays=5))
    x, y = spikes_in(12), torch.tensor([0, 1])
    for form in ("dense", "seq", "tr"):
        settings = LearnerSettings(form=form, credit="filt-win", block=5, lookback=3)
        whole, first, second = (make_learner(net, settings, 2) for _ in range(3))
        results = [whole.observe(u, y) for u in x]
        for u in x[:7]:
            first.observe(u, y)
        second.restore(first.checkpoint())
        for u, before in zip(x[7:], results[7:], strict=True):
            result = second.observe(u, y)
            assert torch.equal(result.logits, before.logits)
            for name, g in (before.gradients or {}).items():
                assert torch.equal(result.gradients[name], g), (form, name)
        equal(second.finish() or {}, whole.finish() or {})


def test_lazy_learning_runs_with_fixed_delays() -> None:
    config = BimConfig(n_in=3, hidden=(5, 4), n_out=2, theta=0.2, hidden_delays=5, dense_readout=True)
    net, plain = network(config), network(config)
    x = spikes_in(12)[:, :1]
    learner = make_learner(net, LearnerSettings(form="lazy", credit="direct", lr=0.0), 1)
    with torch.no_grad():
        wanted = plain.run(x).logits
    for u, logits in zip(x, wanted, strict=True):
        torch.testing.assert_close(learner.observe(u, torch.tensor([0])).logits, logits, rtol=1e-12, atol=1e-12)


def test_weights_are_those_of_a_network_without_delays() -> None:
    fields: dict[str, Any] = {"n_in": 3, "hidden": (5, 4, 6), "n_out": 2}
    plain, late = BimNet(BimConfig(**fields), 7), BimNet(BimConfig(**fields, hidden_delays=9), 7)
    for name, value in plain.state_dict().items():
        assert torch.equal(late.state_dict()[name], value)
    first = late.layer(1).get_parameter("delay").detach()
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert not torch.equal(first[:4], late.layer(2).get_parameter("delay")[:4])
    still = BimNet(BimConfig(**fields, hidden_delays=9), 7, Init(delay_start=0.0))
    assert not still.layer(1).get_parameter("delay").any()
    x = (torch.rand(9, 2, 3) < 0.5).float()
    with torch.no_grad():
        assert torch.equal(still.run(x).logits, plain.run(x).logits)


def test_files_keep_delays_and_old_configs_their_text(tmp_path: Path) -> None:
    config = BimConfig(n_in=3, hidden=(5, 4), n_out=2)
    assert "delay_" not in config_to_json(config) and "hidden_delays" not in config_to_json(config)
    late = BimNet(BimConfig(n_in=3, hidden=(5, 4), n_out=2, hidden_delays=9), 7)
    for suffix in ("pt", "safetensors"):
        again = load_model(save_model(late, tmp_path / f"m.{suffix}"))
        assert again.config == late.config
        assert torch.equal(again.state_dict()["layers.1.delay"], late.state_dict()["layers.1.delay"])


def test_fixed_delays_are_no_trained_parameters() -> None:
    net = network(BimConfig(n_in=3, hidden=(5, 4), n_out=2, theta=0.2, hidden_delays=5, learn_delays=False))
    found = gradients(net, run_compiled(net, spikes_in(9)).logits)
    assert "layers.1.delay" not in found and "layers.1.w_in" in found


@pytest.mark.parametrize(
    ("field", "value"), [("hidden_delays", -1), ("channel_delays", 2000), ("delay_width", 0), ("hidden_delays", 1024)]
)
def test_fields_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(InputError, match=f"model config: {field}"):
        BimConfig(n_in=3, hidden=(5, 4), n_out=2, **{field: value})


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_start_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"delay_start: is .*, must be in"):
        Init(delay_start=share)
