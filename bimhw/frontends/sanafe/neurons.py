"""Neurons of a SANA-FE group as a population: ``lif`` where that is exact, else ``lif_grid``, which has its grid and its resets.

A weight unit is 64 D units of V. D is 1 where all values are multiples of 1/64; else the common denominator of the file's
decimals (5 for 0.2); where that is too large, a power of two to which values are rounded, with a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bimhw.frontends.sanafe.read import WAY, Attributes
from simulator.base.arrays import I32, I64, Bools, Floats
from simulator.base.errors import InputError
from simulator.neurons.integrate import V_MAX
from simulator.neurons.lif import initial_v
from simulator.neurons.lif_grid import (
    HARD,
    LOW_HARD,
    LOW_NONE,
    LOW_SATURATE,
    LOW_SOFT,
    NONE,
    SATURATE,
    SOFT,
    decay_words,
)
from simulator.program.graph import Population

UNIT = 64  # of V in a weight unit, where SANA-FE's LIF unit truncates
_MOST_PARTS = 10**6  # of 1/64: the largest common denominator
_ROOM = 16  # times the largest value that V may reach
LIF = {
    "threshold", "reset", "leak_decay", "bias", "potential", "reset_mode", "refractory_delay", "reverse_threshold",
    "reverse_reset", "reverse_reset_mode",
}  # fmt: skip
TRUENORTH = (LIF - {"leak_decay", "refractory_delay"}) | {"leak", "leak_towards_zero"}
_VALUES = ("threshold", "reset", "bias", "leak", "reverse_threshold", "reverse_reset")
_MODES = ("none", "soft", "hard", "saturate")


@dataclass(frozen=True)
class Grid:
    """Units of V in a weight unit.

    Attributes:
        unit: how many.
        grain: of them in a step of the grid that a decay leaves.
        exact: whether all values of the file are whole units.
    """

    unit: int
    grain: int
    exact: bool

    def whole(self, value: Floats) -> I32:
        """Return values as whole units."""
        return np.round(value * self.unit).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Rows:
    """Neurons of a group that become one population.

    Attributes:
        name: of the population.
        where: of the group, for messages.
        neurons: index in the group, and attributes.
        truenorth: whether their soma unit is TrueNorth's.
    """

    name: str
    where: str
    neurons: Sequence[tuple[int, Attributes]]
    truenorth: bool

    def column(self, key: str, default: float = 0.0) -> Floats:
        """Return an attribute of all neurons."""
        return np.array([number(g, key, default, f"{self.where}.{i}") for i, g in self.neurons], np.float64)

    def modes(self, key: str, default: str) -> list[str]:
        """Return the kind of a reset of all neurons."""
        found = [str(g.get(key, default)) for _, g in self.neurons]
        wrong = sorted(set(found) - set(_MODES))
        if wrong:
            raise InputError(f"{self.where}: {key}", f"is {wrong[0]!r}; it can be {', '.join(_MODES)}", "Choose one")
        return found


def number(given: Attributes, key: str, default: float, where: str) -> float:
    """Return an attribute as a number."""
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{where}: {key}", f"is {value!r}, no number", WAY)
    return float(value)


def grid_of(rows: Rows, weights: Floats) -> Grid:
    """Return the coarsest grid on which the neurons' values and the weights onto them lie.

    Raises:
        InputError: values beyond V's 32 bits.
    """
    columns = [*(rows.column(key) for key in _VALUES), weights]
    values = np.unique(np.concatenate(columns))
    own = 1 if rows.truenorth else UNIT
    worst = float(np.abs(values).max(initial=0.0))
    room = V_MAX / (_ROOM * max(worst, 1 / UNIT))
    if room < own:
        raise InputError(
            f"{rows.where}: value {worst:g}",
            f"is beyond 32 bits in units of 1/{own}",
            "Scale weights and thresholds down",
        )
    parts = _denominator(values, own)
    if parts is not None and parts * own <= room:
        return Grid(own * parts, 1 if rows.truenorth else parts, True)
    parts = 2 ** int(math.log2(min(room / own, _MOST_PARTS)))
    return Grid(own * parts, 1 if rows.truenorth else parts, False)


def _denominator(values: Iterable[float], own: int) -> int | None:
    """Return the common denominator of decimals in units of 1/own, None where it is too large."""
    out = 1
    for value in values:
        out = math.lcm(out, (Fraction(repr(float(value))) * own).denominator)
        if out > _MOST_PARTS:
            return None
    return out


def population(rows: Rows, grid: Grid, notes: list[str]) -> Population:
    """Return the neurons as a population of layer 1; what is not exact is noted."""
    if not grid.exact:
        notes.append(
            f"group {rows.name!r}: values are rounded to 1/{grid.unit}: a potential that comes closer to its threshold may "
            "fire otherwise than in SANA-FE"
        )
    elif grid.grain != 1:
        notes.append(
            f"group {rows.name!r}: decimals are exact here, in 1/{grid.unit}; SANA-FE adds them as doubles, and a sum that these "
            "round across a multiple of 1/64 or the threshold may fire otherwise there"
        )
    plain = None if rows.truenorth or grid.grain != 1 else _plain(rows, grid)
    model, params = ("lif", plain) if plain is not None else ("lif_grid", _on_grid(rows, grid))
    return Population(rows.name, model, len(rows.neurons), params, layer=1)


def _plain(rows: Rows, grid: Grid) -> dict[str, I32] | None:
    """Return the parameters of ``lif``, None where it does not do the same."""
    decay = (1 - rows.column("leak_decay", 1.0)) * 4096
    dv = np.round(decay).astype(np.int64)
    modes, low = rows.modes("reset_mode", "hard"), rows.modes("reverse_reset_mode", "none")
    usual = set(modes) <= {"hard", "soft"} and set(low) == {"none"} and (_steps(rows) < 2).all()
    if not usual or (dv != decay).any() or (dv < 0).any() or (dv > 4096).any():
        return None
    first = _first(np.trunc(rows.column("potential") * UNIT).astype(np.int64), dv.astype(np.int32))
    return {
        "dv": dv.astype(np.int32),
        "vth": grid.whole(rows.column("threshold")),
        "v_reset": grid.whole(rows.column("reset")),
        "bias": grid.whole(rows.column("bias")),
        "soft": np.array([mode == "soft" for mode in modes], np.int32),
        "strict": np.array(1, np.int32),
        "v_init": first,
    }


def _first(v: I64, dv: I32) -> I32:
    """Return the V before step 0 whose decay leaves the potential."""
    out = np.zeros(v.size, np.int32)
    for one in np.unique(dv):
        if one < 4096:
            out[dv == one] = initial_v(v[dv == one], int(one))
    return out


def _on_grid(rows: Rows, grid: Grid) -> dict[str, I32]:
    """Return the parameters of ``lif_grid``."""
    tn = rows.truenorth
    after = {"hard": HARD, "soft": SOFT, "none": NONE, "saturate": SATURATE if tn else NONE}
    below = {"none": LOW_NONE, "soft": LOW_SOFT, "hard": LOW_HARD, "saturate": LOW_SATURATE}
    low = grid.whole(rows.column("reverse_threshold"))
    leak, toward = _leak(rows) if tn else (np.zeros(len(rows.neurons)), np.zeros(len(rows.neurons), bool))
    potential = np.zeros(len(rows.neurons)) if tn else np.trunc(rows.column("potential") * UNIT) / UNIT
    return {
        **decay_words([1.0] * len(rows.neurons) if tn else rows.column("leak_decay", 1.0).tolist()),
        "grain": np.array(grid.grain, np.int32),
        "leak": grid.whole(leak),
        "toward_zero": toward.astype(np.int32),
        "bias": grid.whole(rows.column("bias")),
        "vth": grid.whole(rows.column("threshold")),
        "strict": np.array(0 if tn else 1, np.int32),
        "mode": np.array([after[m] for m in rows.modes("reset_mode", "hard")], np.int32),
        "v_reset": grid.whole(rows.column("reset")),
        "refractory": np.zeros((), np.int32) if tn else _steps(rows),
        "v_low": low,
        "low_mode": np.array([below[m] for m in rows.modes("reverse_reset_mode", "none")], np.int32),
        "low_add": low if tn else -low,
        "low_reset": grid.whole(rows.column("reverse_reset")),
        "v_init": grid.whole(potential),
        "start": np.array(-1, np.int32),
    }  # fmt: skip


def _leak(rows: Rows) -> tuple[Floats, Bools]:
    toward = np.array([bool(g.get("leak_towards_zero", True)) for _, g in rows.neurons])
    return rows.column("leak"), toward


def _steps(rows: Rows) -> I32:
    value = rows.column("refractory_delay")
    if (value != np.floor(value)).any() or (value < 0).any() or (value >= 2**15).any():
        raise InputError(f"{rows.where}: refractory_delay", "is no whole number of steps, 0..32767", "Round it")
    return value.astype(np.int32)
