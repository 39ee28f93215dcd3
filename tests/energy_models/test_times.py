"""Ranges of times: every constant at one end, against closed forms and the nominal run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import bimhw
from bimhw.runs.folder import RunFolder
from bimhw.runs.time_range import time_range
from energy_models.times import at_end, time_ratios
from simulator.chips.load import load_chip
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import run_timing

MODEL = Path(__file__).resolve().parents[2] / "examples" / "digits.safetensors"


def test_ends_are_those_of_the_file() -> None:
    chip = load_chip("loihi2")
    low, high = at_end(chip, False), at_end(chip, True)
    assert low.timing is not None and high.timing is not None and chip.timing is not None
    assert (low.timing.barrier.value, high.timing.barrier.value) == (200, 1800)
    assert (low.timing.synapse.value, high.timing.synapse.value) == (0.7, 1.01)
    assert low.timing.tick == chip.timing.tick and low.timing.flits == chip.timing.flits
    assert at_end(load_chip("odin"), True) == load_chip("odin")


def test_silent_steps_in_closed_form() -> None:
    """Without a spike a step is the updates of the fullest core and the barrier, at each end."""
    program = bimhw.compile(str(MODEL)).program
    chip = load_chip("loihi2")
    still = SpikeTrain(np.zeros(5, np.int64), np.zeros(0, np.int32))
    found = time_ratios(program, chip, still)
    assert found is not None and found[0] < 1 < found[1]
    assert chip.timing is not None and chip.timing.neuron_op is not None
    work = [chip.timing.neuron_op.low or 0, chip.timing.neuron_op.value or 0, chip.timing.neuron_op.high or 0]
    barrier = [200, 1640, 1800]
    nominal = None
    for ops in range(1, 200):  # operations of the fullest core: the ones that give both ratios
        times = [ops * w + b for w, b in zip(work, barrier, strict=True)]
        if (times[0] / times[1], times[2] / times[1]) == pytest.approx(found, rel=2e-3):
            nominal = ops
    assert nominal is not None


@pytest.mark.parametrize(
    ("options", "ratios"),
    [({"sync": "tick", "period_ns": 1e6}, (1, 1)), ({"sync": "neighbour"}, None), ({"sync": "barrier"}, None)],
)
def test_a_range_is_of_the_run_as_it_was_synchronised(
    options: dict[str, Any], ratios: tuple[float, float] | None, tmp_path: Path
) -> None:
    """A tick is the user's, on chips with ranges too; neighbours are timed again as neighbours."""
    chip = load_chip("generic")
    assert chip.timing is not None
    update = msgspec.structs.replace(chip.timing.neuron_update_active, low=4.0, high=32.0)
    timing = msgspec.structs.replace(chip.timing, neuron_update_active=update, neuron_update_inactive=update)
    run = bimhw.simulate(
        bimhw.compile(str(MODEL), chip=msgspec.structs.replace(chip, timing=timing)).program,
        samples=2, output=tmp_path / "run", **options,
    )  # fmt: skip
    folder, times = RunFolder.open(run.folder), time_range(run.folder)
    latency, row = run.result["mean_latency_us"], bimhw.energy(folder, copies=1).rows()[0]
    program, spikes = folder.program(), folder.spikes()
    if ratios is None:
        whole = [
            run_timing(program, c, spikes, sync=options["sync"], resets=(0, spikes.steps // 2)).sim_time_ns
            for c in (at_end(folder.chip(), False), folder.chip(), at_end(folder.chip(), True))
        ]
        ratios = whole[0] / whole[1], whole[2] / whole[1]
        assert ratios[0] < 1 < ratios[1]
    assert (times["latency_low_us"], times["latency_high_us"]) == pytest.approx([latency * r for r in ratios])
    assert (row.low_us, row.us, row.high_us) == pytest.approx((latency * ratios[0], latency, latency * ratios[1]))


def test_rows_have_ranges_and_records(tmp_path: Path) -> None:
    program = bimhw.compile(str(MODEL)).program
    bimhw.simulate(program, samples=3, output=tmp_path / "run")
    result = bimhw.energy(tmp_path / "run")
    for row in result.rows():
        assert row.low_us is not None and row.us is not None and row.high_us is not None
        assert row.low_us < row.us < row.high_us
    first = result.records()[0]
    assert first["word"] == "assumed" and not any(isinstance(v, list | dict | tuple) for v in first.values())
    assert first["us"] == pytest.approx(result.compare()[0]["us"])
