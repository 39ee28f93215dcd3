"""BIM-D: a leaky integrate-and-fire neuron behind a selective state-space filter that it owns alone.

Float equations of one neuron in step t (three synaptic ports z, d, c; same presynaptic spikes u)::

    z = b_z + sum W_in u          d = b_d + sum W_delta u          c = b_c + sum W_c u
    Abar = exp(-a softplus(d))    (a = 1: Abar = sigmoid(-d))
    x <- z + Abar (x - z)         q = c x + D z

then the PSP kernel and the membrane of `simulator.neurons.membrane`, where the variants (``adaptive``, ``graded``) and the
integer form are described. Abar comes from a table of sigmoid(-d)^a, index clip(floor((d + 8) 16), 0, 255), 16 fractional
bits. The per-PSP models differ in words and operations, so each is a model of its own: ``bim_d_delta``, ``bim_d_exp``,
``bim_d_alpha``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.neurons import membrane
from simulator.neurons.base import FloatStep, IntegerKernel, NeuronModel, UpdateOps, Word, register
from simulator.neurons.membrane import LIMIT, clip, kernel_of, shift, tail, waits

TABLE_ENTRIES = 256
TABLE_FIRST = -8.0  # d at the lower edge of entry 0
TABLE_FRAC = 4  # an entry spans 2^-4 of d
ABAR_FRAC = 16
D_FRAC = 12  # binary point of d before its table index is cut out
D_SKIP_FRAC = 11  # binary point of the skip weight D
CONST_FRAC = membrane.CONST_FRAC


def port_words(of: str) -> tuple[Word, ...]:
    """Return the words of ports z, d and c and of the table, `of` the state whose binary point z has."""
    return (
        Word("b_z", 24, meaning=f"bias of port z, binary point of {of}"),
        Word("b_d", 24, meaning="bias of port d, 12 fractional bits"),
        Word("b_c", 24, meaning="bias of port c, binary point of c"),
        Word("mul_z", 16, meaning="scale of the accumulator of z before its shift (1 for power-of-two scales)"),
        Word("mul_d", 16, meaning="scale of the accumulator of d"),
        Word("mul_c", 16, meaning="scale of the accumulator of c"),
        Word("sh_z", 6, meaning=f"right shift from accumulator z to the binary point of {of} (negative: left)"),
        Word("sh_d", 6, meaning="right shift from accumulator d to 12 fractional bits"),
        Word("sh_c", 6, meaning="right shift from accumulator c to the binary point of c"),
        Word("lut", 24, signed=False, meaning="first entry of this neuron's decay table"),
    )


# Parameter words of the selective state, in the order of the rows of `params` behind those of the membrane.
_OWN = (
    *port_words("x"),
    Word("D", 16, meaning="skip weight, 11 fractional bits"),
    Word("sh_cx", 6, meaning="right shift of c x to the binary point of q"),
    Word("sh_dz", 6, meaning="right shift of D z to the binary point of q"),
)
B_Z, B_D, B_C, MUL_Z, MUL_D, MUL_C, SH_Z, SH_D, SH_C, LUT = range(10)
D, SH_CX, SH_DZ = range(10, 13)
_OWN_WORDS = len(_OWN)


def decay_table(a: float) -> I32:
    """Return the table of Abar = sigmoid(-d)^a at the middle of each entry of d, int32 [256], 16 fractional bits.

    a = 1 is the form for chips (one table for all neurons); another a costs a table of its own.
    """
    d = TABLE_FIRST + (np.arange(TABLE_ENTRIES) + 0.5) / 2**TABLE_FRAC
    abar = np.exp(-a * np.logaddexp(0.0, d))
    table: I32 = np.minimum(np.round(abar * 2**ABAR_FRAC), 2**ABAR_FRAC - 1).astype(np.int32)
    return table


@nb.njit(cache=True, nogil=True, forceinline=True)
def read_ports(acc, p, i):  # type: ignore[no-untyped-def]
    """Return z and c of neuron i before they are cut to their word, and the entry of the table at d; p the neuron's own words."""
    z = shift(np.int64(acc[0, i]) * p[MUL_Z], np.int64(p[SH_Z])) + p[B_Z]
    d = shift(np.int64(acc[1, i]) * p[MUL_D], np.int64(p[SH_D])) + p[B_D]
    c = shift(np.int64(acc[2, i]) * p[MUL_C], np.int64(p[SH_C])) + p[B_C]
    entry = min(max((d >> np.int64(D_FRAC - TABLE_FRAC)) + np.int64(128), np.int64(0)), np.int64(255))
    return z, c, p[LUT] + entry


@nb.njit(cache=True, nogil=True, forceinline=True)
def _select(acc, state, params, own, table, i):  # type: ignore[no-untyped-def]
    """Go from ports to x (updated in place) to q of neuron i, with the number of saturated words; own words from row `own`."""
    limit, p = np.int64(params[LIMIT, i]), params[own:, i]
    z0, c0, entry = read_ports(acc, p, i)
    z, c = clip(z0, limit), clip(c0, limit)
    abar = np.int64(table[entry])
    x = z + ((abar * (np.int64(state[0, i]) - z)) >> np.int64(16))
    state[0, i] = x
    q0 = shift(c * x, np.int64(p[SH_CX])) + shift(np.int64(p[D]) * z, np.int64(p[SH_DZ]))
    q = clip(q0, limit)
    return q, np.int64(z != z0) + np.int64(c != c0) + np.int64(q != q0)


@nb.njit(cache=True, nogil=True)
def kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel; states x, then those of the membrane (its parameter words tell which kernel it has)."""
    saturated, own = np.int64(0), params.shape[0] - _OWN_WORDS
    psp = kernel_of(own)
    for i in range(lo, hi):
        if waits(3 + psp, state, out, i):
            continue
        q, n = _select(acc, state, params, own, table, i)
        saturated += n + tail(psp, q, 1, state, params, out, i)
    return saturated


def _float_step(psp: str) -> FloatStep:
    def step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
        z, d, c = acc["z"] + params["b_z"], acc["d"] + params["b_d"], acc["c"] + params["b_c"]
        abar = np.exp(-params["a"] * np.logaddexp(0.0, d))
        x = z + abar * (state["x"] - z)
        q: Floats = c * x + params["D"] * z
        state.update(z=z, d=d, c=c, x=x, q=q)  # kept beside the states: calibration reads their ranges
        return membrane.float_tail(psp, q, state, params)

    return step


_MULTIPLIES = 3  # Abar (x - z), c x, D z

_BRIAN2_SELECT = """
z = acc_z + b_z
d = acc_d + b_d
x = z + exp(-a * log(1 + exp(d))) * (x - z)
q = (acc_c + b_c) * x + D * z
"""


def model_name(psp: str, adaptive: bool = False, graded: bool = False) -> str:
    """Name of the model with this kernel: ``bim_d_alpha``, ``bim_d_exp_adaptive``, ``bim_d_delta_graded`` ..."""
    return variant_name("bim_d", psp, adaptive, graded)


PORTS = ("z", "d", "c")


def sample_state(grid: membrane.Grid) -> dict[str, Any]:
    """Draw the port biases, the skip weight and the decay's exponent."""
    values = {"b_z": grid(-0.5, 0.5), "b_d": grid(-2, 1), "b_c": grid(-0.5, 1), "D": grid(0.5, 1.5)}
    return values | {"a": 1.0}


@dataclass(frozen=True)
class SelectiveState:
    """Part of a BIM neuron with its own parameters before the membrane: ports z, d, c, and a state.

    Attributes:
        family: of the models; their names are `variant_name` of it.
        states, words: of the selective state, before those of the membrane and behind them.
        kernel, float_step, brian2: the update.
        multiplies, adds, look_ups: of the state alone; `adds` beside one for each state word.
        table_entries: of a neuron's table of decays.
        plastic_ports, lowering, sample: as in `NeuronModel`.
    """

    family: str
    states: tuple[Word, ...]
    words: tuple[Word, ...]
    kernel: IntegerKernel
    float_step: Callable[[str], FloatStep]
    brian2: str
    multiplies: int
    adds: int
    look_ups: int
    table_entries: int
    plastic_ports: tuple[str, ...]
    lowering: str
    sample: Callable[[membrane.Grid], dict[str, Any]]


def variant_name(family: str, psp: str, adaptive: bool, graded: bool) -> str:
    """Name of a model by its family, kernel and variants."""
    return f"{family}_{psp}" + ("_adaptive" if adaptive else "") + ("_graded" if graded else "")


def register_variants(selective: SelectiveState) -> None:
    """Make the models of a selective state known: with each kernel, adaptive or not, graded or not."""
    for psp in membrane.PARAMS:
        for adaptive in (False, True):
            for graded in (False, True):
                register(_model(selective, psp, adaptive, graded))


def _model(own: SelectiveState, psp: str, adaptive: bool, graded: bool) -> NeuronModel:
    states = (*own.states, *membrane.states(psp, adaptive))
    words = len(states) - 1  # wait is read and written in the first steps only
    multiplies = own.multiplies + membrane.MULTIPLIES[psp] + adaptive
    adds = words + own.adds + adaptive
    return NeuronModel(
        variant_name(own.family, psp, adaptive, graded),
        PORTS,
        states,
        membrane.PARAMS[psp] + own.words,
        own.kernel,
        own.float_step(psp),
        UpdateOps(mul=multiplies, add=adds, lut=own.look_ups, state_read=words, state_write=words),
        emits="graded" if graded else "binary",
        tables=("decay",),
        table_entries={"decay": own.table_entries},
        table_row="lut",
        float_states=tuple(w.name for w in states if w.name != "wait"),
        initial={"wait": "wait"},
        brian2=own.brian2 + membrane.brian2_tail(psp, adaptive, graded),
        family=own.family,
        traits=membrane.traits(psp, 1, adaptive, graded, own.plastic_ports),
        lowering=own.lowering,
        sample_params=membrane.sampler(psp, adaptive, graded, own.sample),
    )


register_variants(
    SelectiveState(
        "bim_d", (Word("x", 24),), _OWN, kernel, _float_step, _BRIAN2_SELECT, _MULTIPLIES, adds=7, look_ups=1,
        table_entries=TABLE_ENTRIES, plastic_ports=PORTS, lowering="bimhw.compiler.lower.bim", sample=sample_state,
    )
)  # fmt: skip
