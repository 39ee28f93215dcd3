"""Layers with a complex state: loops against autograd, the norm against torch's, the fold against both, limits."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bimhw
import bimhw.nn
from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.rules.registry import LearnerSettings, make_learner
from bimhw.models.bim import complex_state
from bimhw.models.bim.cell import Drive
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import load_model, save_model
from simulator.base.errors import InputError

GRID = list(
    itertools.product(["delta", "exp", "alpha"], ["dc", "variance"], ["none", "batch"], ["soft", "hard"], [0, 2])
)


def _net(seed: int = 3, **fields: Any) -> BimNet:
    base: dict[str, Any] = {"n_in": 5, "hidden": (6, 4), "n_out": 3, "theta": 0.2, "learn_a_log": True}
    net = BimNet(BimConfig(kind="complex", **(base | fields)), seed).double()
    with torch.no_grad():
        net.readout.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return net


def _inputs(steps: int = 12) -> Tensor:
    return (torch.rand(steps, 3, 5, generator=torch.Generator().manual_seed(1)) < 0.4).double()


def _plain_scan(drive: Drive, own: complex_state.Own, x: Tensor, config: BimConfig) -> tuple[Tensor, Tensor]:
    qs = []
    for z, d, c in zip(drive.z, drive.d, drive.c, strict=True):
        now = Drive(z, d, None, c)
        x = complex_state.select(now, own, x, config)[3]
        qs.append(complex_state.output(now, x, own))
    return torch.stack(qs), x


@pytest.mark.parametrize(("psp", "gain", "norm", "reset", "refractory"), GRID)
def test_compiled_loops_are_autograd(
    psp: str, gain: str, norm: str, reset: str, refractory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"psp": psp, "state_gain": gain, "norm": norm, "reset": reset, "refractory": refractory}
    fields["input_delays"] = (0, 2) if refractory else (0,)
    found = []
    for compiled in (True, False):
        net = _net(**fields, dense_readout=True, detach_reset=False)
        if compiled:
            first = run_compiled(net, _inputs(5))
            run = run_compiled(net, _inputs(), first.state)  # the state in between carries gradients
        else:
            monkeypatch.setattr(complex_state, "scan", _plain_scan)
            first = net.run(_inputs(5))
            run = net.run(_inputs(), first.state)
        weights = torch.linspace(-1, 1, run.logits.numel(), dtype=torch.float64).view_as(run.logits)
        loss = (weights * run.logits).sum() + sum(s.mean() for s in run.spikes) + run.state.layers[0].x.square().sum()
        loss.backward()
        values = {n: p.grad for n, p in net.named_parameters() if p.grad is not None} | dict(net.named_buffers())
        assert len(values) == len(list(net.parameters())) + len(list(net.buffers()))
        found.append(values | {"logits": run.logits.detach()})
    for name, value in found[1].items():
        torch.testing.assert_close(found[0][name], value, rtol=1e-10, atol=1e-12)


def test_without_rotation_and_norm_it_is_the_diagonal_layer() -> None:
    fields: dict[str, Any] = {"n_in": 5, "hidden": (6,), "n_out": 3, "theta": 0.2}
    turned = BimNet(BimConfig(kind="complex", rotate=False, **fields), 3).double()
    real = BimNet(BimConfig(**fields), 3).double()
    real.load_state_dict({k: v for k, v in turned.state_dict().items() if k in real.state_dict()})
    with torch.no_grad():
        torch.testing.assert_close(turned.run(_inputs()).logits, real.run(_inputs()).logits, rtol=1e-12, atol=1e-12)


def test_rotation_alone_is_a_damped_oscillation() -> None:
    """The closed form of an impulse: Re x after n steps is (Abar^n cos(n omega)) times g z."""
    net = _net(hidden=(1,))
    layer, steps = net.layer(0), 20
    own = complex_state.own(layer)._replace(
        omega=torch.tensor([0.7], dtype=torch.float64),
        c_im=torch.zeros(1, dtype=torch.float64),
        d=torch.zeros(1).double(),
    )
    impulse = torch.zeros(steps, 1, 1, dtype=torch.float64)
    impulse[0] = 1.0
    ones = torch.ones_like(impulse)
    q, _ = complex_state.scan(
        Drive(impulse, -ones, None, ones), own, torch.zeros(1, 1, 2, dtype=torch.float64), layer.config
    )
    n = torch.arange(steps, dtype=torch.float64)
    abar = torch.exp(-own.a_log.exp() * torch.log1p(torch.exp(torch.tensor(-1.0, dtype=torch.float64))))
    expected = (1 - abar) * abar**n * torch.cos(0.7 * n) * own.c_re
    torch.testing.assert_close(q[:, 0, 0], expected, rtol=1e-12, atol=1e-14)


def test_variance_gain_keeps_the_variance_of_white_input() -> None:
    net = _net(hidden=(1,), state_gain="variance", n_in=1)
    layer = net.layer(0)
    zero = torch.zeros(1, dtype=torch.float64)
    own = complex_state.own(layer)._replace(c_im=zero, d=zero, omega=zero, c_re=zero + 1)
    white = torch.randn(200_000, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ones = torch.ones_like(white)
    q, _ = complex_state.scan(Drive(white, -ones, None, ones), own, torch.zeros(1, 1, 2).double(), layer.config)
    assert float(q.detach().var()) == pytest.approx(1.0, rel=0.02)


def test_norm_is_torchs_and_its_fold_gives_the_same_currents() -> None:
    net = _net(norm="batch", hidden=(6,))
    layer, x = net.layer(0), _inputs(40)
    for _ in range(3):
        run_compiled(net, x)
    twin = nn.BatchNorm1d(6, momentum=complex_state.MOMENTUM).double()
    drive = layer.project(x)
    q, _ = complex_state.scan(drive, complex_state.own(layer), net.initial_state(3).layers[0].x, net.config)
    for _ in range(3):
        twin(q.reshape(-1, 6))
    assert twin.running_mean is not None
    torch.testing.assert_close(layer.get_buffer("norm_mean"), twin.running_mean, rtol=1e-12, atol=1e-14)
    values = {k: v.detach().numpy() for k, v in layer.state_dict().items()}
    folded = {k: torch.from_numpy(v) for k, v in complex_state.fold(values, norm=True).items()}
    own = complex_state.own(layer)._replace(c_re=folded["c_re"], c_im=folded["c_im"], d=folded["D"])
    current, _ = complex_state.scan(drive, own, net.initial_state(3).layers[0].x, net.config)
    wanted = twin.eval()(q.reshape(-1, 6)).reshape(q.shape)
    torch.testing.assert_close(current + folded["b_q"], wanted, rtol=1e-10, atol=1e-12)


def test_steps_are_the_sequence_and_files_keep_the_statistics(tmp_path: Path) -> None:
    net, x = _net(norm="batch", dense_readout=True), _inputs(20)
    run_compiled(net, x)
    with torch.no_grad():
        whole, state, logits = net.run(x).logits, net.initial_state(3), []
        for u in x:
            now, state, _ = net.step(u, state)
            logits.append(now)
    torch.testing.assert_close(torch.stack(logits), whole, rtol=1e-12, atol=1e-12)
    again = load_model(save_model(net, tmp_path / "m.safetensors"))
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.float()), name


def test_module_runs_and_compiles() -> None:
    """In a torch model of one's own: loops and torch operations agree, eval() fixes the norm, the chip path takes it."""
    layer = bimhw.nn.BIM(5, 6, kind="complex", norm="batch", theta=0.2, seed=1).double()
    x = _inputs(20)
    plain = layer.scan(layer.drive(x), layer.initial_state(3))[0].detach()
    layer.load_state_dict(bimhw.nn.BIM(5, 6, kind="complex", norm="batch", theta=0.2, seed=1).double().state_dict())
    assert torch.equal(layer(x).detach(), plain)
    layer.eval()
    before = layer.get_buffer("norm_mean").clone()
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer.get_buffer("norm_mean"), before)
    steps = x.permute(1, 0, 2).numpy().astype("int32")
    program = bimhw.compile(nn.Sequential(layer.float()), "loihi2", calibration=steps).program
    assert program.populations[1].model == "bim_complex_alpha"


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"norm: is 'batch', belongs to kind 'complex'"):
        BimConfig(n_in=1, hidden=(1,), n_out=1, norm="batch")
    with pytest.raises(InputError, match="does not exist for layers of kind 'complex'"):
        make_learner(_net(), LearnerSettings(form="seq"), 1)
