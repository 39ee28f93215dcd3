"""Modules of other frameworks as objects: the float engine gives each framework's own spikes.

The small framework here keeps snnTorch's and SpikingJelly's rules in a few lines under their names, so that the tracer is
tested without them; the frameworks themselves are tested where MODULE_FRAMEWORKS_PYTHON names a Python that has them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bimhw
from bimhw.frontends.frameworks.module import read_module
from simulator.base.errors import FitError, InputError

VARIABLE = "MODULE_FRAMEWORKS_PYTHON"


@pytest.mark.long
@pytest.mark.parametrize(
    "framework",
    ["snntorch", "spikingjelly", "norse", "sinabs", "rockpool", "lsnn", "alif", "alpha", "kin", "wavesense", "pools"],
)
def test_twenty_random_modules_give_the_frameworks_own_spikes(framework: str) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no Python with {framework}; `make frameworks` makes one")
    command = [python, "-m", "benchmarks.frameworks.modules", "--framework", framework]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3])
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [x for x in done.stdout.splitlines() if x.startswith(framework)]
    assert len(lines) == 20 and all(": 0 of" in x for x in lines)


class BaseNode(nn.Module):
    """The root of the small framework's neurons."""

    def __init__(self, tau: float = 2.0, v_reset: float | None = 0.0, step_mode: str = "s") -> None:
        super().__init__()
        self.tau, self.v_reset, self.v_threshold, self.step_mode = tau, v_reset, 1.0, step_mode
        self.decay_input = True
        self.v: Any = 0.0

    def reset(self) -> None:
        self.v = 0.0

    def _one(self, x: torch.Tensor) -> torch.Tensor:
        self.v = self.v + (x - self.v) / self.tau
        spike = (self.v >= self.v_threshold).to(x.dtype)
        self.v = self.v - spike if self.v_reset is None else self.v * (1 - spike) + spike * self.v_reset
        return spike

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._one(x) if self.step_mode == "s" else torch.stack([self._one(v) for v in x])


class LIFNode(BaseNode):
    """Leaky integrate-and-fire."""


class OddNode(BaseNode):
    """A neuron that no reader knows."""


class NonSpikingLIFNode(BaseNode):
    """A leaky integrator over all steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = []
        for v in x:
            self.v = self.v + (v - self.v) / self.tau
            rows.append(self.v)
        return torch.stack(rows)


for _cls in (BaseNode, LIFNode, OddNode, NonSpikingLIFNode):
    _cls.__module__ = "spikingjelly.small"


class Loop(nn.Module):
    """A forward with a loop, a skip, pools, a folded norm and feedback over one step."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv, self.norm, self.pool = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2)
        self.n1, self.n2 = LIFNode(1.5), LIFNode(3.0, None)
        self.fc, self.back = nn.Linear(27, 4), nn.Linear(4, 4, bias=False)
        self.how = how
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: torch.Tensor) -> Any:
        last, rows, total = torch.zeros(x.shape[1], 4), [], torch.zeros(x.shape[1], 4)
        for t in range(x.shape[0]):
            a = self.pool(self.n1(3 * self.norm(self.conv(x[t]))))
            last = self.n2(self.fc(a.flatten(1) * 4.0) - self.back(last))
            rows.append(last)
            total = total + last
        return {"stack": lambda: torch.stack(rows), "list": lambda: rows, "sum": lambda: total / len(rows)}[self.how]()


def _spikes(*shape: int) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(1)) < 0.5).float()


@pytest.mark.parametrize("how", ["stack", "list", "sum"])
def test_a_forward_of_its_own_is_read_and_compiled(how: str) -> None:
    torch.manual_seed(2)
    module, x = Loop(how), _spikes(9, 2, 1, 6, 6)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    read = read_module(module, x)
    assert read.differ == 0 and read.wanted.any()
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()) and module.training
    result = bimhw.compile(module, "loihi2", sample=x)
    assert "0 of" in " ".join(result.report["notes"]) and result.report["calibration"].startswith("the given sample")


@pytest.mark.parametrize("mode", ["s", "m"])
def test_one_step_a_call_and_all_steps_at_once_are_the_same_network(mode: str) -> None:
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(6, 8), LIFNode(step_mode=mode), nn.Linear(8, 3), LIFNode(step_mode=mode))
    nn.init.uniform_(module[0].weight, 0, 2)
    nn.init.uniform_(module[2].weight, 0, 2)
    read = read_module(module, _spikes(12, 2, 6))
    assert read.differ == 0 and read.wanted.mean() > 0.05
    weights = [np.abs(q.weights).sum() for q in read.network.projections]
    assert weights == pytest.approx([float(module[k].weight.detach().abs().sum()) / 2 for k in (0, 2)])


def test_a_real_valued_sample_gets_a_stated_scale() -> None:
    module = nn.Sequential(nn.Linear(4, 3), LIFNode())
    x = torch.arange(2 * 5 * 4).reshape(5, 2, 4) / 16
    result = bimhw.compile(module, "loihi2", sample=x)
    assert result.program.meta["input"]["scale"] == 2.0**-5
    assert result.program.meta["input"]["payload_bits"] >= 7


def _unknown_function() -> nn.Module:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = LIFNode(step_mode="m")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.n(torch.tanh(x))

    return Odd()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(4, 3), OddNode()), r"layer '1' \(OddNode\).*no form here.*LIFNode"),
        (_unknown_function(), r"function torch\.tanh.*no form on a chip"),
        (nn.Sequential(nn.LayerNorm(4), LIFNode(step_mode="m")), r"torch\.layer_norm.*own values.*Use BatchNorm"),
        (nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1), LIFNode(step_mode="m")), r"torch\.softmax.*Leave it out"),
        (nn.Sequential(nn.Linear(4, 3), nn.GELU(), LIFNode(step_mode="m")), r"torch\.gelu.*is curved\. Use ReLU"),
    ],
)
def test_what_has_no_form_is_named(module: nn.Module, message: str) -> None:
    with pytest.raises(FitError, match=message):
        read_module(module, _spikes(5, 2, 4))


def _images(*layers: nn.Module, features: int, gain: float = 3.0) -> nn.Module:
    torch.manual_seed(3)
    last = [nn.Flatten(), nn.Linear(features, 5), LIFNode(1.5)]
    module = nn.Sequential(nn.Conv2d(2, 4, 3), *layers, LIFNode(1.5), *last)
    for p in module.parameters():
        p.data = 3 * p.data
    last[1].weight.data *= gain  # type: ignore[operator]
    return module


@pytest.mark.parametrize(
    ("layers", "features"),
    [
        ([nn.MaxPool2d(2)], 36),
        ([nn.MaxPool2d(3, stride=2)], 16),
        ([nn.MaxPool2d(2, padding=1)], 64),
        ([nn.AdaptiveMaxPool2d(2)], 16),
        ([nn.ReLU()], 144),
        ([nn.ReLU(), nn.MaxPool2d(2)], 36),
        ([nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d((3, 1))], 48),
        ([nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 2), nn.ReLU()], 16),
    ],
)
def test_maxima_and_rectified_values_that_are_not_spikes(layers: list[nn.Module], features: int) -> None:
    gains = (1.0, 3.0, 10.0, -3.0)  # of the last layer: one at which it is neither silent nor always on
    reads = [read_module(_images(*layers, features=features, gain=g), _spikes(12, 2, 2, 8, 8)) for g in gains]
    assert all(read.differ == 0 for read in reads)
    assert any(0.02 < read.wanted.mean() < 0.98 for read in reads)


def test_a_maximum_of_values_goes_the_whole_way(tmp_path: Path) -> None:
    x = _spikes(12, 6, 2, 8, 8)
    module = _images(nn.ReLU(), nn.MaxPool2d(2), features=36)
    read = read_module(module, x)
    data = bimhw.Dataset(x.numpy().astype(np.int32), layout="tb")
    program = bimhw.compile(module, "loihi2", sample=x, data=data, state_bits=24, per_row=True).program
    got = bimhw.simulate(program, data=data, engine="none", output=tmp_path / "run").folder
    with np.load(got / "outputs.npz") as z:
        assert {"values", "scores"} & set(z.files)
    assert [p.model for p in read.network.populations].count("leaky_graded") == 4


def test_windows_of_too_many_values_are_named() -> None:
    with pytest.raises(FitError, match=r"MaxPool2d.*maximum of 36 values that are not spikes.*16 are the most"):
        read_module(_images(nn.MaxPool2d(6), features=4), _spikes(6, 2, 2, 8, 8))


def test_a_module_without_a_sample_asks_for_one() -> None:
    with pytest.raises(InputError, match="Give sample=x"):
        bimhw.compile(nn.Sequential(nn.Linear(4, 3), LIFNode()))


class Forward(nn.Module):
    """One step of a forward of one's own between two neuron layers of 12 and 3 neurons."""

    def __init__(self, between: Any, width: int, step_mode: str = "m") -> None:
        super().__init__()
        self.first, self.last = LIFNode(1.5, step_mode=step_mode), LIFNode(1.5, step_mode=step_mode)
        self.between, self.weight = between, nn.Parameter(torch.randn(3, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.linear(self.between(self.first(3 * x)), self.weight))


@pytest.mark.parametrize(
    ("between", "width"),
    [
        (lambda z: torch.cat([z[..., 6:], z[..., :4]], dim=-1), 10),
        (lambda z: torch.stack([z, -z], dim=-1).flatten(-2), 24),
        (lambda z: z @ torch.arange(60.0).reshape(12, 5).double() / 60, 5),
        (lambda z: torch.einsum("...i,ij->...j", z, torch.eye(12).double()[:, ::3]), 4),
        (lambda z: F.pad(z, (2, 1)).roll(1, -1), 15),
        (lambda z: z.reshape(*z.shape[:-1], 3, 4).transpose(-1, -2).flatten(-2), 12),
        (lambda z: z.reshape(*z.shape[:-1], 3, 4).sum(-1) - z[..., ::4], 3),
        (lambda z: 3 * torch.chunk(z, 3, dim=-1)[1] + 1.5, 4),
        (lambda z: z.repeat_interleave(2, dim=-1).cumsum(-1), 24),
    ],
)
@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_linear_functions_are_found_by_probing(between: Any, width: int, step_mode: str) -> None:
    torch.manual_seed(width)
    read = read_module(Forward(between, width, step_mode), _spikes(8, 2, 12))
    assert read.differ == 0 and read.wanted.std() > 0


@pytest.mark.parametrize("odd", [torch.exp, torch.tanh, lambda z: z * (2 * z), lambda z: z - z.mean(0), torch.sign])
def test_functions_that_are_not_linear_for_each_sample_alone_are_named(odd: Any) -> None:
    with pytest.raises(FitError, match=r"function torch\.\w+: has no form on a chip"):
        read_module(Forward(odd, 12), _spikes(8, 2, 12))


class Functional(nn.Module):
    """Layers as functions: convolution, pools and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.n1, self.n2, self.n3 = LIFNode(1.5), LIFNode(1.5), LIFNode(1.5)
        self.kernel, self.up = nn.Parameter(torch.rand(4, 1, 3, 3)), nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = F.max_pool2d(self.n1(F.conv2d(x, self.kernel, padding=1)), 2)
        b = self.n2(4 * self.up(a))
        return self.n3(5 * self.fc(F.avg_pool2d(b, kernel_size=3).flatten(1)))


def test_layers_in_the_form_of_functions_are_layers() -> None:
    torch.manual_seed(4)
    read = read_module(Functional(), _spikes(8, 2, 1, 6, 6))
    assert read.differ == 0 and read.wanted.any()
    assert read.network.projections[0].layout == "conv"


class Reads(nn.Module):
    """The membrane of a silent neuron over [T, B, n], reduced over time."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.fc, self.n, self.out, self.v = (
            nn.Linear(6, 8),
            LIFNode(step_mode="m"),
            nn.Linear(8, 3),
            NonSpikingLIFNode(),
        )
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = self.v(self.out(self.n(3 * self.fc(x))))
        return {"max": lambda: v.max(0)[0], "amax": lambda: v.amax(dim=0), "last": lambda: v[-1], "all": lambda: v}[
            self.how
        ]()


@pytest.mark.parametrize("how", ["max", "amax", "last", "all"])
def test_a_membrane_is_read_at_its_largest_at_its_last_or_in_every_step(how: str) -> None:
    torch.manual_seed(5)
    x = _spikes(9, 2, 6)
    read = read_module(Reads(how), x)
    assert read.differ == 0 and read.wanted.any()
    result = bimhw.compile(Reads(how), "loihi2", sample=x)
    assert result.program.facts.output is not None
    assert result.program.facts.output.reduce == ("max" if how in ("max", "amax") else "mean")
    data = bimhw.Dataset(x.numpy(), layout="tb")
    run = bimhw.simulate(result.program, data=data)
    values, scores = run.outputs["values"], run.outputs["scores"]
    assert scores == pytest.approx(values.max(axis=1) if "max" in how else values[:, -1])


class Held(nn.Module):
    """A still picture that the forward repeats itself, encoded or not, and a mean over the steps."""

    def __init__(self, encoded: bool) -> None:
        super().__init__()
        self.conv, self.n, self.fc, self.out = nn.Conv2d(1, 2, 3), LIFNode(step_mode="m"), nn.Linear(8, 3), LIFNode()
        self.out.step_mode, self.encoded = "m", encoded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.encoded:
            held = self.conv(x).unsqueeze(0).repeat(5, 1, 1, 1, 1)
        else:
            held = x.expand(5, *x.shape)
            held = self.conv(held.flatten(0, 1)).reshape(5, len(x), 2, 2, 2)
        return self.out(2 + 9 * self.fc(self.n(9 * held).flatten(2))).mean(0)


@pytest.mark.parametrize("encoded", [True, False])
def test_a_forward_that_repeats_a_still_sample_itself_is_read(encoded: bool) -> None:
    torch.manual_seed(6)
    read = read_module(Held(encoded), torch.rand(2, 1, 4, 4))
    assert read.differ == 0 and read.wanted.any()
    assert read.x.shape == (2, 5, 16) and "same input in each of its 5 steps" in " ".join(read.network.meta["notes"])


def test_a_sample_that_the_module_does_not_take_is_one_message() -> None:
    module = nn.Sequential(nn.Linear(4, 3), LIFNode(step_mode="m"))
    with pytest.raises(InputError, match=r"sample: of shape \[5, 2, 7\] is not taken by the module"):
        read_module(module, _spikes(5, 2, 7))
