"""Run ODIN on a list of input events and collect what its interfaces show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.events.machines.odin.controller import N_OPERATIONS, N_OUTPUTS, N_SNAPS
from simulator.events.machines.odin.controller import run as run_controller
from simulator.events.machines.odin.state import NEURONS, Chip, Options, Table

LONG = 1 << 40  # edges: for a net that comes to rest by itself
ROOM = 1 << 12  # rows of the logs to start with


@dataclass(frozen=True, eq=False)
class OdinRun:
    """Events of a run; times are clock edges since the start.

    Attributes:
        inputs: int64 [k, 4], (request set, acknowledge seen, acknowledge gone, address).
        outputs: int64 [o, 2], (request seen, address).
        operations: int64 [p, 3], (edge, controller state, queue word or -1).
        snap_edges: int64 [s], acknowledges of time references.
        snap_lif, snap_izh: int64 [s, 256, words], the neurons then.
        end: edge at which all was quiet.
        chip: the state at the end.
    """

    inputs: I64
    outputs: I64
    operations: I64
    snap_edges: I64
    snap_lif: I64
    snap_izh: I64
    end: int
    chip: Chip


def run_odin(chip: Chip, options: Options, events: Table, until: int = LONG) -> OdinRun:
    """Run a programmed chip.

    Args:
        chip: from `program_chip`; it is not changed.
        options: switches.
        events: [k, 2], (earliest edge, address of 17 bits); an input waits for the handshake of the one before.
        until: last edge; without it the run ends when all is quiet, which a net that excites itself never is.

    Raises:
        InputError: an address of more than 17 bits, or negative edges.
    """
    given = np.asarray(events, np.int64).reshape(-1, 2)
    if given.size and (given.min() < 0 or given[:, 1].max() >= 1 << 17):
        raise InputError("events", "hold a negative edge or an address beyond 17 bits", "See docs/rtl.md")
    room = ROOM
    while True:
        copy = Chip(*(a.copy() for a in chip))
        logs = _run(copy, options, given, until, room)
        if logs is not None:
            return logs
        room *= 8


def _run(chip: Chip, options: Options, events: I64, until: int, room: int) -> OdinRun | None:
    """Run once with this many rows in the logs; return None if they were too few."""
    k = len(events)
    inputs, outputs = np.full((k, 4), -1, np.int64), np.zeros((room, 2), np.int64)
    operations, edges = np.zeros((room, 3), np.int64), np.zeros(k + 1, np.int64)
    snap_lif = np.zeros((k + 1, *chip.lif.shape), np.int64)
    snap_izh = np.zeros((k + 1, NEURONS, chip.izh_state.shape[1]), np.int64)
    count = run_controller(chip, options, events, until, inputs, outputs, operations, edges, snap_lif, snap_izh)
    if max(count[N_OUTPUTS], count[N_OPERATIONS]) > room:
        return None
    n = int(count[N_SNAPS])
    return OdinRun(
        inputs,
        outputs[: count[N_OUTPUTS]],
        operations[: count[N_OPERATIONS]],
        edges[:n],
        snap_lif[:n],
        snap_izh[:n],
        int(count[3]),
        chip,
    )
