"""Words that learning reads of neurons in integers: their words before a step, decoded into the record of the step.

Record of an s6 neuron [8 + 4 N]: z, Delta, sigmoid(d), V-, m, s in the rows `R_Z`, `R_DT`, `R_SIG`, `R_V`, `R_M`, `R_S`, then
from `R_STATES` on Abar_n, x_n (after the step), B_n, C_n of the N states. That of BIM-D is in `record`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.base.errors import FitError
from simulator.function.layout import Cells
from simulator.function.simulation import Simulation
from simulator.neurons import s6
from simulator.neurons.bim_d import decay_table
from simulator.neurons.membrane import LIMIT, THETA, clip, kernel_of, potential
from simulator.plasticity.forms.record import R_M, R_S, R_V, R_Z, SHIFTS, integer_record
from simulator.plasticity.layers.net import Layer

R_DT, R_SIG, R_STATES = 1, 2, 8


class LayerWords(Protocol):
    """Words of one layer that its record is decoded from."""

    def load(self) -> None:
        """Read the parameters again."""

    def snapshot(self) -> None:
        """Keep the words and the arriving sums of the step to come."""

    def decode(self, out: Floats, mine: slice) -> None:
        """Decode the record of the step done since."""


def words_of(layer: Layer, simulation: Simulation, index: int, cell: Cells, fracs: Any) -> LayerWords:
    """Return the words of a layer: population number `index` of a simulation, binary points `fracs`."""
    kind = _S6Words if layer.states else _BimWords
    return kind(layer, simulation, index, cell, fracs)


class _BimWords:
    def __init__(self, layer: Layer, simulation: Simulation, index: int, cell: Cells, fracs: Any) -> None:
        self.layer, self.simulation, self.k, self.cell = layer, simulation, index, cell
        self.known = {w.name: r for r, w in enumerate(cell.model.params)}
        _check_decay(cell, self.known["lut"])
        states = {w.name: r for r, w in enumerate(cell.model.states)}
        self.rows = [(n, states[w]) for n, w in enumerate(("x", "r", "I", "V", "ref")) if w in states]
        self.old, self.acc = np.zeros((5, layer.size), np.int64), np.zeros((3, layer.size), np.int64)
        self.par = np.zeros((len(SHIFTS), layer.size), np.int64)
        self.units = np.array([2.0 ** -fracs[w] for w in ("x", "c", "V")])
        self.load()

    def load(self) -> None:
        for r, name in enumerate(SHIFTS):
            if name in self.known:
                self.par[r] = self.cell.params[self.known[name]]

    def snapshot(self) -> None:
        words = self.simulation.state.words[self.k]
        for n, r in self.rows:
            self.old[n] = words[r]
        self.acc[:] = self.simulation.arriving(self.k)

    def decode(self, out: Floats, mine: slice) -> None:
        acc, old, par = (np.ascontiguousarray(a[:, mine]) for a in (self.acc, self.old, self.par))
        integer_record(acc, old, par, self.cell.table, self.units, self.layer.psp, out)


class _S6Words:
    def __init__(self, layer: Layer, simulation: Simulation, index: int, cell: Cells, fracs: Any) -> None:
        self.simulation, self.k, self.cell = simulation, index, cell
        self.units = np.array([2.0 ** -fracs[w] for w in ("z", "V", "x0", "b", "c")])
        self.snapshot()

    def load(self) -> None:
        """Load parameters where they lie."""

    def snapshot(self) -> None:
        self.old = self.simulation.state.words[self.k].copy()
        self.acc = np.array(self.simulation.arriving(self.k), np.int64)

    def decode(self, out: Floats, mine: slice) -> None:
        params = np.ascontiguousarray(self.cell.params[:, mine])
        acc, old = np.ascontiguousarray(self.acc[:, mine]), self.old[:, mine].copy()
        s6_record(acc, old, params, self.cell.table, self.units, out)


@numba.njit(cache=True, nogil=True)
def s6_record(acc, state, params, table, units, out):  # type: ignore[no-untyped-def]
    """Recompute an integer update of s6 by the neuron's own functions on copies of what it started with.

    Args:
        acc: int64 [ports, H], sums that arrive in the step.
        state: int32 [states, H], words before the step; spoilt.
        params: int32 [params, H].
        table: int32, the model's tables.
        units: float64 [5], value of one unit of z, V, x, B, C.
        out: float64 [8 + 4 N, H], filled.
    """
    states = (acc.shape[0] - 2) // 2
    own = params.shape[0] - s6.A_LOG - states
    psp = kernel_of(own)
    for i in range(acc.shape[1]):
        p, limit = params[own:, i], np.int64(params[LIMIT, i])
        free = state[states + psp + 1, i] == 0
        z = clip(s6.arrived(acc, p, 0, s6.MUL_Z, s6.SH_Z, i) + p[s6.B_Z], limit)
        d = s6.arrived(acc, p, 1, s6.MUL_D, s6.SH_D, i) + p[s6.B_D]
        at = s6.entry(d, s6.D_FRAC, s6.D_FIRST)
        step = table[at] * 2.0**-s6.DELTA_FRAC
        for n in range(states):
            decay = s6.decay_entry(np.int64(table[s6.TABLE_ENTRIES + at]), p, n)
            b = clip(s6.arrived(acc, p, 2 + n, s6.MUL_B, s6.SH_B, i), limit)
            c = clip(s6.arrived(acc, p, 2 + states + n, s6.MUL_C, s6.SH_C, i), limit)
            out[R_STATES + n, i] = table[decay] * 2.0**-s6.DECAY_FRAC
            out[R_STATES + 2 * states + n, i], out[R_STATES + 3 * states + n, i] = b * units[3], c * units[4]
        q, _ = s6.select(acc, state, params, own, table, i)
        v, _ = potential(psp, q, states, state, params, i)
        for n in range(states):
            out[R_STATES + states + n, i] = state[n, i] * units[2]
        out[R_Z, i], out[R_DT, i], out[R_SIG, i] = z * units[0], step, -np.expm1(-step)
        out[R_V, i], out[R_M, i] = v * units[1], 1.0 if free else 0.0
        out[R_S, i] = 1.0 if free and v >= params[THETA, i] else 0.0


def _check_decay(cell: Cells, lut: int) -> None:
    """Check that every neuron has a = 1: history words take Abar and sig(d) from one table."""
    one = decay_table(1.0)
    if cell.params[lut].any() or not np.array_equal(cell.table[: one.size], one):
        raise FitError(
            f"population {cell.name!r}",
            "has decays with a other than 1 (a learnt A_log), for which there is no learning on the chip",
            "Train with learn_a_log off and A_log at 0",
        )
