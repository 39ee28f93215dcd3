"""Quantisation-aware fine-tuning: it trains the very weights that the compiler stores, by the straight-through gradient."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bimhw
from bimhw.cli.main import main
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.pipeline import compile
from bimhw.compiler.readback import read_back
from bimhw.learning.evaluate import evaluate
from bimhw.learning.finetune import RoundedWeights, _calibrated, finetune
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import load_model, save_model
from bimhw.runs.simulate import simulate
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from simulator.base.errors import InputError

CHOICES = [
    {"bits": 4, "per_row": True},
    {"bits": 3, "per_row": False},
    {"bits": 4, "per_row": True, "free_scales": True},
    {"bits": 8, "per_row": False},
]


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


def _net(**options: Any) -> BimNet:
    shape: dict[str, Any] = {"n_in": 8, "hidden": (10, 7), "n_out": 10, "psp": "delta", "input_scale": 1 / 16}
    net = BimNet(BimConfig(**shape | options), 1)
    with torch.no_grad():
        net.readout.weight.normal_(generator=torch.Generator().manual_seed(1))
    return net


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("shape", [{}, {"input_delays": (0, 2), "dense_readout": True}])
def test_the_compiler_stores_what_was_trained(digits: Task, choice: dict[str, Any], shape: dict[str, Any]) -> None:
    """The fine-tuned model, compiled: its integers read back are its weights."""
    few = Task(
        "few", 10, 1 / 16, digits.train.take(slice(0, 96)), digits.test, digits.loss_steps, digits.decision_steps
    )
    tuned = finetune(_net(**shape), few, epochs=1, **choice).model
    result = compile(tuned, task="digits", **choice)
    _, arrays = read_back(result.program)
    exact = not choice.get("free_scales")  # a chip's multiplier of 15 bits rounds a free scale
    for name, parameter in tuned.named_parameters():
        if ".w_" in name or name == "readout.weight":
            wanted = parameter.detach().numpy()
            np.testing.assert_allclose(arrays[name], wanted, rtol=1e-6 if exact else 2e-4, atol=1e-7)
            assert len(np.unique(wanted)) > 3
    errors = [q["relative_rms_weight_error"] for q in result.report["projections"]]
    assert max(errors) < 1e-6


def test_s6_is_rounded_too() -> None:
    """Every parameter keeps its place: at 9 bits a rounded weight is near its own."""
    net = _net(kind="s6", n_states=2)
    calibration = replace(
        _calibrated(net, load_task("digits"), 0), drives={}
    )  # clipping costs what it costs the weights
    values = RoundedWeights(net, CompileOptions(bits=9, per_row=True), calibration).values()
    parameters = dict(net.named_parameters())
    assert {n.split(".")[-1] for n in values} == {"w_in", "w_delta", "w_b", "w_c", "weight"}
    for name, value in values.items():
        wanted = parameters[name].detach().numpy()
        assert np.abs(value - wanted).max() <= np.abs(wanted).max() / 100


def test_gradients_pass_straight_through(digits: Task) -> None:
    """Gradients are those of the network whose weights are the rounded ones, and the float weights stay as they are."""
    net, twin = _net().double(), _net().double()
    options = CompileOptions(bits=4, per_row=True)
    rounded = RoundedWeights(net, options, _calibrated(net, digits, 0))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    RoundedWeights(twin, options, rounded.calibration).keep()
    x = torch.rand(9, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.linspace(-1, 1, 9 * 3 * 10, dtype=torch.float64).view(9, 3, 10)
    for run in (rounded.run, twin.run):
        (run(x).logits * slope).sum().backward()  # type: ignore[no-untyped-call]
    for (name, p), q in zip(net.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, before[name])
        if q.grad is not None:
            assert p.grad is not None
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-12)
    assert not torch.equal(net.layer(0).get_parameter("w_in"), twin.layer(0).get_parameter("w_in"))


def test_command_writes_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(_net(), tmp_path / "m.pt")
    with pytest.raises(SystemExit, match="0"):
        main(
            ["finetune", str(tmp_path / "m.pt"), "--bits", "4", "--epochs", "1", "--json", "-o", str(tmp_path / "q.pt")]
        )
    figures = json.loads(capsys.readouterr().out)
    assert figures["updates"] == 21
    assert figures["accuracy"] == evaluate(load_model(tmp_path / "q.pt"), load_task("digits")).accuracy


def test_bad_input(tmp_path: Path) -> None:
    save_model(_net(), tmp_path / "m.pt")
    with pytest.raises(InputError, match="option bits: is 12, must be 1 to 9"):
        finetune(tmp_path / "m.pt", bits=12)
    with pytest.raises(InputError, match="task: is not given"):
        finetune(_net(n_out=3))
    with pytest.raises(InputError, match="n_in: is 5, the task digits has 8"):
        finetune(_net(n_in=5), "digits")
    with pytest.raises(InputError, match="training setting lr"):
        finetune(tmp_path / "m.pt", lr=-1.0)


@pytest.mark.long
@pytest.mark.parametrize("how", [{}, {"rule": "bptt", "lr": 0.03, "epochs": 50}])
def test_digits_levels(how: dict[str, Any], tmp_path: Path) -> None:
    """Points lost by integers, as the simulated chip computes: int8 1, 4 bits a row 4, and 1 after fine-tuning.

    The first two hold for every seed; fine-tuning trains again, so that its figure scatters, and is judged by the mean of three.
    """
    four: dict[str, Any] = {"bits": 4, "per_row": True}
    tuned = []
    for seed in range(3):
        model, few = tmp_path / f"m{seed}.pt", tmp_path / f"q{seed}.pt"
        base = bimhw.train("digits", model, preset="demo", seed=seed, **how).final.accuracy
        finetune(model, output=few, **four)

        def lost(path: Path, base: float = base, **options: Any) -> float:
            program = compile(path, **options).program
            run = simulate(program, engine="none", output=tmp_path / f"run-{path.stem}-{len(options)}")
            return round(base - float(run.result["accuracy"]), 6)  # shares of 500 images

        assert lost(model) <= 0.01
        assert lost(model, **four) <= 0.04
        tuned.append(lost(few, **four))
    assert max(tuned) <= 0.02
    assert np.mean(tuned) <= 0.01
