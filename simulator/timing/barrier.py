"""The barrier between steps, in closed form: a flush and an advance over an XY tree rooted at router 0.

Where endpoint c is quiet at q_c and a token takes b_c from its router to the root (barrier_hop_ticks a hop,
chip_barrier_ticks from chip to chip):
    R = max_c(q_c + b_c) + sync_ticks     the root releases the next step
    start_c = R + b_c                     endpoint c starts it
"""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64
from simulator.timing.contract import DONE, Mesh, StepTimes, StepWork
from simulator.timing.wires import wires


def quiet_times(work: StepWork, times: StepTimes, learn_ticks: I64 | None = None) -> I64:
    """Return the tick at which each endpoint has nothing left to do, int64 [C]: its soma's end, its last DONE, then learning."""
    quiet = times.soma_end.copy()
    np.maximum.at(quiet, work.dst, times.stamps[:, DONE])
    return quiet if learn_ticks is None else quiet + learn_ticks


def release_time(mesh: Mesh, quiet: I64) -> int:
    """Return tick R at which the root releases the next step."""
    return int((quiet + wires(mesh).barrier_ticks).max()) + mesh.sync_ticks


def start_times(mesh: Mesh, release: int = 0) -> I64:
    """Return the tick at which each endpoint starts a step that the root released at `release`, int64 [C]."""
    return release + wires(mesh).barrier_ticks
