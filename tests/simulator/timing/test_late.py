"""Late packets of tick synchronisation, at the tick where they become late, in every engine."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.neurons.base import get
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.contract import DONE
from simulator.timing.run import run_timing


def pair() -> Program:
    """Neuron 0 on core 0 sends to neuron 1 on core 11."""
    params = {w.name: np.asarray(get("lif").defaults.get(w.name, 1)) for w in get("lif").params}
    one = Projection(
        "p", "a", "b", "in", np.array([0, 1], np.int64), np.zeros(1, np.int32), np.ones(1, np.int8)
    )  # fmt: skip
    populations = (Population("a", "lif", 1, params, layer=1), Population("b", "lif", 1, params, layer=2))
    return Program("test", "0", populations, (one,), np.array([0, 11], np.int32))


@pytest.mark.parametrize("engine", ["compiled", "clocked", "simpy"])
def test_a_packet_is_late_one_tick_after_its_step(make_chip, engine) -> None:  # type: ignore[no-untyped-def]
    """Neuron 0 fires in step 1 of 4: its packet is late where DONE is beyond the end of that step, and is not lost."""
    spikes = SpikeTrain(np.array([0, 0, 1, 1, 1], np.int64), np.zeros(1, np.int32))
    chip = make_chip()

    def times(period: int):  # type: ignore[no-untyped-def]
        tick_ns = chip.timing.tick.value
        return run_timing(
            pair(), chip, spikes, engine, sync="tick", period_ns=period * tick_ns, keep=range(1, 2)
        )  # fmt: skip

    long = times(100_000)
    done = int(long.steps[1][1].stamps[0, DONE])  # counted from the step's own tick
    assert long.late is not None
    assert long.late.tolist() == [0, 0, 0, 0]
    for period, late in ((done, 0), (done - 1, 1)):
        run = times(period)
        assert run.late is not None
        assert run.late.tolist() == [0, late, 0, 0]
        assert run.messages.tolist() == [0, 1, 0, 0]
