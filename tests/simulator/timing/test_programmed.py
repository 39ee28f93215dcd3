"""A neuron that the chip runs as a program takes time by its operations; the points that Loihi 2's constants were fitted on."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity
from simulator.program.graph import Population
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.program.work import operations, parameter_reads
from simulator.timing.run import run_timing

CHIP = load_chip("loihi2")


def step_us(model: str, neurons: int, cores: int, chip: Any = CHIP, **params: Any) -> float:
    """Time of a step in which all neurons are updated and none fires."""
    p = Population("n", model, neurons, {k: np.asarray(v, np.int32) for k, v in params.items()}, layer=1)
    program = Program(chip.name, chip.sha256(), (p,), (), (np.arange(neurons) * cores // neurons).astype(np.int32))
    spikes = SpikeTrain(np.zeros(4, np.int64), np.zeros(0, np.int32))
    return run_timing(program, chip, spikes).sim_time_ns / 3e3


def izhikevich(neurons: int) -> dict[str, Any]:
    return {"a": 1311, "b": 13107, "c": -65 * 256, "d": 8 * 256, "bias": np.arange(neurons)}


def test_published_steps_of_loihi_2() -> None:
    """NECOTIS: two LIF neurons 1.163 us. OzU: LIF 1.75-1.80 us at 5-69 cores, Izhikevich 7.45 us (200 neurons on 5 cores)."""
    assert step_us("lif", 2, 1, vth=100, dv=0) == pytest.approx(1.163, rel=0.01)
    for neurons, cores in ((200, 5), (400, 23), (1200, 69)):
        assert step_us("lif", neurons, cores, vth=100, dv=0) == pytest.approx(1.77, rel=0.06)
    assert step_us("izhikevich", 200, 5, **izhikevich(200)) == pytest.approx(7.45, rel=0.02)
    times = [step_us("izhikevich", 200, cores, **izhikevich(200)) for cores in (5, 10, 20, 40)]
    assert times == sorted(times, reverse=True)  # fewer neurons a core


def test_operations_by_hand() -> None:
    p = Population("n", "izhikevich", 4, {k: np.asarray(v, np.int32) for k, v in izhikevich(4).items()}, layer=1)
    assert parameter_reads(p) == 1  # the biases differ; a, b, c, d are constants of the program
    assert operations(p) == 6 + 14 + 2 + 2 + 1
    per_core = 40 * round(25 * 5.81 / 0.1) * 0.1 + 1640
    assert step_us("izhikevich", 200, 5, **izhikevich(200)) * 1e3 == pytest.approx(per_core, abs=20)


def test_without_a_time_of_an_operation_a_programmed_neuron_takes_that_of_a_native_one() -> None:
    timing = msgspec.structs.replace(CHIP.timing, neuron_op=None)  # type: ignore[type-var]
    plain = msgspec.structs.replace(CHIP, timing=timing)
    assert step_us("izhikevich", 200, 5, plain, **izhikevich(200)) == pytest.approx(
        step_us("lif", 200, 5, vth=1, dv=0), rel=0.05
    )
    slow = msgspec.structs.replace(CHIP.timing, neuron_op=Quantity(58.5, "ns", "test", "assumed"))  # type: ignore[type-var]
    assert step_us("izhikevich", 200, 5, msgspec.structs.replace(CHIP, timing=slow), **izhikevich(200)) > 50
