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
from torch import nn

import bimhw
from bimhw.frontends.frameworks.module import read_module
from simulator.base.errors import FitError, InputError

VARIABLE = "MODULE_FRAMEWORKS_PYTHON"


@pytest.mark.long
@pytest.mark.parametrize("framework", ["snntorch", "spikingjelly", "norse", "sinabs", "rockpool"])
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


for _cls in (BaseNode, LIFNode, OddNode):
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
        (
            nn.Sequential(nn.Linear(4, 3), nn.MaxPool2d(1), LIFNode(step_mode="m")),
            "maximum of values that are not spikes",
        ),
        (_unknown_function(), r"function torch\.tanh.*no form on a chip"),
        (nn.Sequential(nn.LayerNorm(4), LIFNode(step_mode="m")), r"torch\.layer_norm"),
    ],
)
def test_what_has_no_form_is_named(module: nn.Module, message: str) -> None:
    with pytest.raises(FitError, match=message):
        read_module(module, _spikes(5, 2, 4))


def test_a_module_without_a_sample_asks_for_one() -> None:
    with pytest.raises(InputError, match="Give sample=x"):
        bimhw.compile(nn.Sequential(nn.Linear(4, 3), LIFNode()))
