"""State of ReckOn: registers, weights, states and random generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulator.base.arrays import I64, U8, AnyInts
from simulator.base.errors import InputError
from simulator.base.shift_registers import Recurrence

Table = AnyInts
BLOCK = 16  # target neurons of a weight word
ONE = 1 << 15  # alpha without leak
# Rows of `Net.place`: weights (rings inp, rec, wout), then the rows of strnd and oneur.
(R_INP, R_REC, R_OUT, R_U0, R_U1, R_ONEUR, R_TINP0, R_TINP1, R_TREC0, R_TREC1, R_TOUT0, R_TOUT1) = range(12)
GENERATORS = 12


class Registers(NamedTuple):
    """Configuration registers, named as the design does (in lower case); counts are numbers of units, not of the last one."""

    rst_mode: int
    do_eprop: int
    fp_loc_winp: int
    fp_loc_wrec: int
    fp_loc_wout: int
    fp_loc_tinp: int
    fp_loc_trec: int
    fp_loc_tout: int
    learn_sig_scale: int
    regul_mode: int
    regul_w: int
    en_stoch_round: int
    no_out_act: int
    kappa: int
    thr_h_0: int
    thr_h_1: int
    thr_h_2: int
    thr_h_3: int
    h_0: int
    h_1: int
    h_2: int
    h_3: int
    h_4: int
    lr_r_winp: int
    lr_p_winp: int
    lr_r_wrec: int
    lr_p_wrec: int
    lr_r_wout: int
    lr_p_wout: int
    regul_f0: int
    regul_k_inp_r: int
    regul_k_inp_p: int
    regul_k_rec_r: int
    regul_k_rec_p: int
    regul_k_mul: int
    force_traces: int
    inputs: int
    neurons: int
    outputs: int


class Net(NamedTuple):
    """Arrays of a net; w units stand in the pairs' memory: w = max(inputs, neurons), rounded up to pairs.

    Attributes:
        alpha, threshold: int64 [pairs].
        w_in, w_rec, w_out: int64 [source, target].
        u, z: int64 [w], membrane and whether it fired in this tick.
        trace_in, trace_rec, trace_out: int64 [w].
        out: int64 [outputs].
        learning, h, regular: int64 [16], learning signal, pseudo-derivative and regularisation term of a block.
        inp, rec, wout: uint8 rings of the weights' generators.
        strnd: uint8 [6, 15], rings of u, trace_in and trace_rec, for even and odd units.
        oneur: uint8 [3, 15], rings of the outputs, and of trace_out for even and odd units.
        place: int64 [12, 1], read positions of all rings.
    """

    alpha: I64
    threshold: I64
    w_in: I64
    w_rec: I64
    w_out: I64
    u: I64
    z: I64
    trace_in: I64
    trace_rec: I64
    trace_out: I64
    out: I64
    learning: I64
    h: I64
    regular: I64
    inp: U8
    rec: U8
    wout: U8
    strnd: U8
    oneur: U8
    place: I64


_COUNTS = {"inputs": "NUM_INP_NEUR", "neurons": "NUM_REC_NEUR", "outputs": "NUM_OUT_NEUR"}
_UNSUPPORTED = {"LOCAL_TICK": 0, "REGRESSION": 0, "NOISE_EN": 0, "TIMING_MODE": 0, "SEND_PER_TIMESTEP": 0}
_SEEDS = ("SEED_INP", "SEED_REC", "SEED_OUT", "SEED_STRND_NEUR", "SEED_STRND_ONEUR", "SEED_STRND_TINP",
          "SEED_STRND_TREC", "SEED_STRND_TOUT")  # fmt: skip


def read_registers(config: Mapping[str, object]) -> Registers:
    """Return the registers of a configuration by the design's names.

    Raises:
        InputError: a register is missing or no integer, or asks for what is not modelled.
    """
    for name, value in _UNSUPPORTED.items():
        if config.get(name, value) != value:
            raise InputError(f"register {name}", f"is {config[name]}; only {value} is modelled", f"Give {value}")
    values = {f: _integer(config, _COUNTS.get(f, f.upper())) + (f in _COUNTS) for f in Registers._fields}
    for name in ("h_0", "h_1", "h_2", "h_3", "h_4"):
        values[name] = ((values[name] + 16) & 31) - 16
    registers = Registers(**values)
    if registers.neurons % BLOCK:
        raise InputError("register NUM_REC_NEUR", f"makes {registers.neurons} neurons", f"Give a multiple of {BLOCK}")
    return registers


def _integer(config: Mapping[str, object], name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int):
        raise InputError(f"register {name}", f"is {value!r}; it must be an integer", "Give every register")
    return value


def program_net(
    config: Mapping[str, object], alpha: Table, threshold: Table, w_in: Table, w_rec: Table, w_out: Table
) -> tuple[Registers, Net]:
    """Program a net.

    Args:
        config: registers and seeds by the design's names.
        alpha: leak factors of the pairs of neurons, 15 fractional bits.
        threshold: of the pairs.
        w_in, w_rec, w_out: [source, target], 8 bits signed.

    Raises:
        InputError: a register is missing, or a table does not fit the counts of neurons.
    """
    r = read_registers(config)
    w = 2 * ((max(r.inputs, r.neurons, r.outputs) + 1) // 2)
    for name, table, shape in (
        ("w_in", w_in, (r.inputs, r.neurons)),
        ("w_rec", w_rec, (r.neurons, r.neurons)),
        ("w_out", w_out, (r.neurons, r.outputs)),
    ):
        if table.shape != shape:
            raise InputError(name, f"has shape {table.shape}, not {shape}", "Give [source, target]")
    if min(alpha.size, threshold.size) < w // 2:
        raise InputError("alpha, threshold", f"have {alpha.size} and {threshold.size} pairs, fewer than {w // 2}")
    seeds = [_integer(config, name) for name in _SEEDS]
    return r, _blank(r, w, [np.asarray(t, np.int64).copy() for t in (alpha, threshold, w_in, w_rec, w_out)], seeds)


def _blank(r: Registers, w: int, tables: list[I64], seeds: list[int]) -> Net:
    inp, rec, out, neur, oneur, tinp, trec, tout = seeds
    low, high = (1 << 15) - 1, 15
    words = [neur & low, neur >> high, tinp & low, tinp >> high, trec & low, trec >> high]
    long = [Recurrence.seeded(word, 1, 15).bits for word in words]
    short = [Recurrence.seeded(word, 1, 15, True).bits for word in (oneur, tout & low, tout >> high)]

    def zeros(size: int) -> I64:
        return np.zeros(size, np.int64)

    return Net(
        alpha=tables[0],
        threshold=tables[1],
        w_in=tables[2],
        w_rec=tables[3],
        w_out=tables[4],
        u=zeros(w),
        z=zeros(w),
        trace_in=zeros(w),
        trace_rec=zeros(w),
        trace_out=zeros(w),
        out=zeros(r.outputs),
        learning=zeros(BLOCK),
        h=zeros(BLOCK),
        regular=zeros(BLOCK),
        inp=Recurrence.seeded(inp, 3, 25).bits,
        rec=Recurrence.seeded(rec, 3, 25).bits,
        wout=Recurrence.seeded(out, 1, 22).bits,
        strnd=np.stack(long),
        oneur=np.stack(short),
        place=np.zeros((GENERATORS, 1), np.int64),
    )
