"""S6: a leaky integrate-and-fire neuron behind the selective state space of Mamba, N states a neuron.

Float equations of one neuron in step t. z and d come from the spikes of the layer below, B and C (one value a state, the
same for all neurons of a layer) from the layer's `s6_project` neurons, which send them as graded spikes one step later; so
the spikes for z and d are delayed by one step::

    z = b_z + sum W_in u        d = b_d + sum W_delta u        Delta = softplus(d)
    B_n = sum of what arrives at port b<n>                     C_n = sum of what arrives at port c<n>
    y_n = e^(l<n>) Delta                                       (A_n = -e^(l<n>))
    G_n = Delta (euler)  or  Delta (1 - e^-y_n)/y_n (zoh)
    x_n <- e^-y_n x_n + G_n B_n z                              q = sum_n C_n x_n + D z

then the PSP kernel and the membrane of `simulator.neurons.membrane`, where the variants (``adaptive``, ``graded``) and the
integer form are described. ``s6_project`` sends p = b + sum W u in every step (16 signed bits).

Tables of the integer form, one after another, 512 entries each: Delta (13 fractional bits, unsigned) and log Delta (11)
by index clip(floor((d + 8) 32), 0, 511); then, by index clip(floor((log Delta + l<n> + 12) 32), 0, 511), e^-y_n and
(1 - e^-y)/y (16 each). In the log domain the product Delta A is a sum, any A_log is served by the same four tables, and a
decay near 1 keeps its relative precision. The models ``s6_<euler|zoh>_<delta|exp|alpha>_n<N>[_adaptive][_graded]`` differ
in words and operations; each N up to 64 exists.

Source: Gu & Dao 2023, arXiv:2312.00752 (selective scan); Mamba's convolution, gate and output projection are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numba as nb
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.neurons import membrane
from simulator.neurons.base import FloatStep, NeuronModel, Traits, UpdateOps, Word, register, register_family
from simulator.neurons.membrane import LIMIT, clip, kernel_of, shift, tail, waits
from simulator.neurons.sampling import dyadic

MOST_STATES = 64
TABLE_ENTRIES = 512
TABLE_FRAC = 5  # an entry spans 2^-5 of d, or of log(Delta) + A_log
D_FIRST = -8  # d at the lower edge of entry 0
LOG_FIRST = -12  # log(y) at the lower edge of entry 0
D_FRAC = 12  # binary point of d before its table index is cut out
DELTA_FRAC = 13
LOG_FRAC = 11  # binary point of log Delta and of A_log
DECAY_FRAC = 16
D_SKIP_FRAC = 11  # binary point of the skip weight D
TABLES = ("delta", "log", "decay", "phi")
PROJECT = "s6_project"

# Parameter words of the selective state, in the order of the rows of `params` behind those of the membrane; then l0, l1 ...
_OWN = (
    Word("b_z", 24, meaning="bias of port z, binary point of z"),
    Word("b_d", 24, meaning="bias of port d, 12 fractional bits"),
    Word("mul_z", 16, meaning="scale of the accumulator of z before its shift (1 for power-of-two scales)"),
    Word("mul_d", 16, meaning="scale of the accumulator of d"),
    Word("mul_b", 16, meaning="scale of the accumulators of b0, b1 ..."),
    Word("mul_c", 16, meaning="scale of the accumulators of c0, c1 ..."),
    Word("sh_z", 6, meaning="right shift from accumulator z to its binary point (negative: left)"),
    Word("sh_d", 6, meaning="right shift from accumulator d to 12 fractional bits"),
    Word("sh_b", 6, meaning="right shift from accumulators b0, b1 ... to the binary point of b"),
    Word("sh_c", 6, meaning="right shift from accumulators c0, c1 ... to the binary point of c"),
    Word("D", 16, meaning="skip weight, 11 fractional bits"),
    Word("sh_u", 6, meaning="right shift of Delta z to the binary point of u"),
    Word("sh_bu", 6, meaning="right shift of B u to the binary point of x"),
    Word("sh_cx", 6, meaning="right shift of sum C x to the binary point of q"),
    Word("sh_dz", 6, meaning="right shift of D z to the binary point of q"),
    Word("zoh", 1, signed=False, meaning="1: input gain of the zero-order hold, 0: Euler's"),
)
(B_Z, B_D, MUL_Z, MUL_D, MUL_B, MUL_C, SH_Z, SH_D, SH_B, SH_C, D, SH_U, SH_BU, SH_CX, SH_DZ, ZOH,
 A_LOG) = range(17)  # fmt: skip


def tables() -> dict[str, I32]:
    """Return the four tables, each int32 [512]: the value at the middle of each entry, rounded, within 16 bits."""
    middle = (np.arange(TABLE_ENTRIES) + 0.5) / 2**TABLE_FRAC
    delta = np.logaddexp(0.0, middle + D_FIRST)
    y = np.exp(middle + LOG_FIRST)
    exact = {
        "delta": delta * 2**DELTA_FRAC,
        "log": np.log(delta) * 2**LOG_FRAC,
        "decay": np.exp(-y) * 2**DECAY_FRAC,
        "phi": -np.expm1(-y) / y * 2**DECAY_FRAC,
    }
    return {name: np.minimum(np.round(exact[name]), 2**16 - 1).astype(np.int32) for name in TABLES}


@nb.njit(cache=True, nogil=True, forceinline=True)
def entry(value, frac, first):  # type: ignore[no-untyped-def]
    """Return the table index of a value with `frac` fractional bits; entry 0 begins at `first`."""
    at = (value >> np.int64(frac - TABLE_FRAC)) - np.int64(first * 2**TABLE_FRAC)
    return min(max(at, np.int64(0)), np.int64(TABLE_ENTRIES - 1))


@nb.njit(cache=True, nogil=True, forceinline=True)
def arrived(acc, p, row, mul, right, i):  # type: ignore[no-untyped-def]
    """Return what accumulator `row` brings neuron i, at the binary point of its word; p: the neuron's own words."""
    return shift(np.int64(acc[row, i]) * p[mul], np.int64(p[right]))


@nb.njit(cache=True, nogil=True, forceinline=True)
def decay_entry(log_delta, p, n):  # type: ignore[no-untyped-def]
    """Return where the tables hold e^-y_n of a neuron; (1 - e^-y)/y lies `TABLE_ENTRIES` further."""
    return 2 * TABLE_ENTRIES + entry(log_delta + p[A_LOG + n], LOG_FRAC, LOG_FIRST)


@nb.njit(cache=True, nogil=True, forceinline=True)
def select(acc, state, params, own, table, i):  # type: ignore[no-untyped-def]
    """Go from ports to x_n (updated in place) to q of neuron i, with the number of saturated words; own words from row `own`."""
    limit, p = np.int64(params[LIMIT, i]), params[own:, i]
    z0 = arrived(acc, p, 0, MUL_Z, SH_Z, i) + p[B_Z]
    z = clip(z0, limit)
    at = entry(arrived(acc, p, 1, MUL_D, SH_D, i) + p[B_D], D_FRAC, D_FIRST)
    u0 = shift(np.int64(table[at]) * z, np.int64(p[SH_U]))
    u = clip(u0, limit)
    saturated = np.int64(z != z0) + np.int64(u != u0)
    log_delta = np.int64(table[TABLE_ENTRIES + at])
    total, states = np.int64(0), (acc.shape[0] - 2) // 2
    for n in range(states):
        b0, c0 = arrived(acc, p, 2 + n, MUL_B, SH_B, i), arrived(acc, p, 2 + states + n, MUL_C, SH_C, i)
        b, c = clip(b0, limit), clip(c0, limit)
        at = decay_entry(log_delta, p, n)
        drive = u
        if p[ZOH]:
            drive = (np.int64(table[TABLE_ENTRIES + at]) * u) >> np.int64(16)
        x0 = ((np.int64(table[at]) * np.int64(state[n, i])) >> np.int64(16)) + shift(b * drive, np.int64(p[SH_BU]))
        x = clip(x0, limit)
        state[n, i] = x
        total += c * x
        saturated += np.int64(b != b0) + np.int64(c != c0) + np.int64(x != x0)
    q0 = shift(total, np.int64(p[SH_CX])) + shift(np.int64(p[D]) * z, np.int64(p[SH_DZ]))
    q = clip(q0, limit)
    return q, saturated + np.int64(q != q0)


@nb.njit(cache=True, nogil=True)
def kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel; states x0 .. x<N-1>, then those of the membrane (its parameter words tell which kernel it has)."""
    saturated, states = np.int64(0), (acc.shape[0] - 2) // 2
    own = params.shape[0] - A_LOG - states
    psp = kernel_of(own)
    for i in range(lo, hi):
        if waits(states + 2 + psp, state, out, i):
            continue
        q, n = select(acc, state, params, own, table, i)
        saturated += n + tail(psp, q, states, state, params, out, i)
    return saturated


def _float_step(psp: str, states: int) -> FloatStep:
    def step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
        z, d = acc["z"] + params["b_z"], acc["d"] + params["b_d"]
        delta = np.logaddexp(0.0, d)
        q: Floats = params["D"] * z
        for n in range(states):
            a = np.exp(params[f"l{n}"])
            gain = np.where(params["zoh"] != 0, -np.expm1(-a * delta) / a, delta)
            x = np.exp(-a * delta) * state[f"x{n}"] + gain * (acc[f"b{n}"] * z)
            q = q + acc[f"c{n}"] * x
            state[f"x{n}"] = x
        state.update(z=z, d=d, u=delta * z, q=q)  # kept beside the states: calibration reads their ranges
        return membrane.float_tail(psp, q, state, params)

    return step


def model_name(discretisation: str, psp: str, states: int, adaptive: bool = False, graded: bool = False) -> str:
    """Name of a model: ``s6_zoh_delta_n4``, ``s6_euler_alpha_n16_adaptive_graded`` ..."""
    return f"s6_{discretisation}_{psp}_n{states}" + ("_adaptive" if adaptive else "") + ("_graded" if graded else "")


_NAME = re.compile(r"s6_(euler|zoh)_(delta|exp|alpha)_n([1-9][0-9]*)(_adaptive)?(_graded)?")


class Kind(NamedTuple):
    """Facts in a model's name."""

    discretisation: str
    psp: str
    states: int
    adaptive: bool
    graded: bool


def kind_of(name: str) -> Kind | None:
    """Parse the name of a model of this family; return None for any other model."""
    match = _NAME.fullmatch(name)
    return Kind(match[1], match[2], int(match[3]), bool(match[4]), bool(match[5])) if match else None


def states_of(name: str) -> int:
    """Return N of a model of this family; 0 for any other model."""
    kind = kind_of(name)
    return kind.states if kind else 0


def is_s6(name: str) -> bool:
    """Return whether a model is one of this family (`s6_project` is not)."""
    return states_of(name) > 0


def _operations(zoh: bool, psp: str, states: int, adaptive: bool, words: int) -> UpdateOps:
    """Count Delta z and D z, for each state Abar x, B u, C x, with zoh phi u; look-ups Delta, log Delta, e^-y, with zoh phi."""
    return UpdateOps(
        mul=(3 + zoh) * states + 2 + membrane.MULTIPLIES[psp] + adaptive,
        add=2 * states + words + 6 + adaptive,  # log Delta + A_log, and the sums of x_n and of q
        lut=2 + (1 + zoh) * states,
        state_read=words,
        state_write=words,
    )


def _brian2(zoh: bool, psp: str, states: int, adaptive: bool, graded: bool) -> str:
    lines = ["z = acc_z + b_z", "h = log(1 + exp(acc_d + b_d))", "q = D * z"]
    for n in range(states):
        gain = f"((1 - exp(-h * exp(l{n}))) / exp(l{n}))" if zoh else "h"
        lines += [f"x{n} = exp(-h * exp(l{n})) * x{n} + {gain} * acc_b{n} * z", f"q = q + acc_c{n} * x{n}"]
    return "\n".join([*lines, membrane.brian2_tail(psp, adaptive, graded)])


def _sample(grid: membrane.Grid, zoh: bool, states: int) -> dict[str, Any]:
    values: dict[str, Any] = {"b_z": grid(-0.5, 0.5), "b_d": grid(-2, 1), "D": grid(0.5, 1.5), "zoh": float(zoh)}
    return values | {f"l{n}": grid(-1, 1) for n in range(states)}


def _model(name: str) -> NeuronModel | None:
    """Return the model of this name, None where the name is none of the family."""
    kind = kind_of(name)
    if kind is None or kind.states > MOST_STATES:
        return None
    zoh, psp, n, adaptive, graded = kind.discretisation == "zoh", *kind[1:]
    words = (*(Word(f"x{k}", 24) for k in range(n)), *membrane.states(psp, adaptive))
    own = (*_OWN, *(Word(f"l{k}", 16, meaning=f"A_log of state {k}, 11 fractional bits") for k in range(n)))
    return NeuronModel(
        name,
        ("z", "d", *(f"b{k}" for k in range(n)), *(f"c{k}" for k in range(n))),
        words,
        membrane.PARAMS[psp] + own,
        kernel,
        _float_step(psp, n),
        _operations(zoh, psp, n, adaptive, len(words) - 1),  # wait is read and written in the first steps only
        emits="graded" if graded else "binary",
        tables=TABLES,
        table_entries=dict.fromkeys(TABLES, TABLE_ENTRIES),
        float_states=tuple(w.name for w in words if w.name != "wait"),
        initial={"wait": "wait"},
        brian2=_brian2(zoh, psp, n, adaptive, graded),
        family="s6",
        traits=membrane.traits(psp, n, adaptive, graded, ("z", "d")),
        lowering="bimhw.compiler.lower.s6",
        sample_params=membrane.sampler(psp, adaptive, graded, lambda grid: _sample(grid, zoh, n)),
    )


@nb.njit(cache=True, nogil=True)
def project_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel of ``s6_project``; states p, wait; parameters b, mul, sh, limit, wait."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if waits(1, state, out, i):
            continue
        v = shift(np.int64(acc[0, i]) * params[1, i], np.int64(params[2, i])) + params[0, i]
        sent = clip(v, np.int64(params[3, i]))
        state[0, i] = out[i] = sent
        saturated += np.int64(sent != v)
    return saturated


def float_project(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin of ``s6_project``."""
    state["p"] = acc["in"] + params["b"]
    return state["p"]


register(
    NeuronModel(
        PROJECT,
        ("in",),
        (Word("p", 16), Word("wait", 6, signed=False, meaning="steps left before the first update")),
        (
            Word("b", 16, meaning="bias, binary point of p"),
            Word("mul", 16, meaning="scale of the accumulator before its shift"),
            Word("sh", 6, meaning="right shift from the accumulator to the binary point of p"),
            Word("limit", 16, signed=False, meaning="largest value of p"),
            Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer"),
        ),
        project_kernel,
        float_project,
        UpdateOps(mul=0, add=1, state_write=1),
        emits="graded",
        float_states=("p",),
        initial={"wait": "wait"},
        fires="sends p in every step",
        brian2="p = acc_in + b\nout = p",
        traits=Traits(sends="p", serves=True),
        lowering="bimhw.compiler.lower.s6",
        sample_params=lambda rng, n: {"b": dyadic(rng, n, -0.5, 1)},
    )
)
register_family(_model, ("s6_zoh_alpha_n2", "s6_euler_delta_n3_adaptive", "s6_zoh_exp_n1_graded"))
