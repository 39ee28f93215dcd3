"""A compiled program made ready to learn: weights on the learning grid, every plastic synapse stored, binary points chosen.

Weights of bits b and range R have the unit R / 2^(b-1): it does not depend on how large the initial weights happen to be, so
that they have room to grow up to the hard bound. The port parameters (mul, sh) are set to that unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from simulator.base.arrays import I64, Array, Bools, Floats
from simulator.base.errors import FitError, InputError
from simulator.plasticity.config import LearnConfig, learn_config, plain
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.net import Net, filled, learning_net, live_synapses, plastic, plastic_ports
from simulator.plasticity.learner import Learner
from simulator.plasticity.methods import chip_form
from simulator.plasticity.rules.optimiser import SECOND_MOMENT_BITS
from simulator.plasticity.words.words import ENTRIES_S6, PEAK, calibrated, widths
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program

_MULTIPLIER_BITS = 15
_HEADROOM = 4.0  # of words that grow while the readout learns, over what calibration saw
_GROWING = ("delta", "l_", "p_", "g_", "a_", "omega", "s_", "y_")
_BLOCK_TRACE_HEADROOM = 2.0  # traces that a propagator moves by a whole block at once spread more than calibration sees
_MOVING = ("c", "g", "x", "z", "dt", "b_n", "c_n", *ENTRIES_S6)  # history of states that grow a little
_SHARED_ROOM = 2  # bits that B and C of s6 may grow by


def prepare(
    program: Program,
    config: LearnConfig,
    floats: Mapping[str, Floats] | None = None,
    masks: Mapping[str, Any] | None = None,
) -> Program:
    """Prepare a program: plastic projections on the learning grid, the learning configuration in it.

    Args:
        program: compiled, integer.
        config: of the learning.
        floats: projection -> float weights [n_source, n_target] to start from (else the compiled ones are re-rounded).
        masks: projection -> bool [n_source, n_target], False where there is no synapse. By default all synapses of a
            plastic projection exist (a compiled zero is a weight that is 0), except in a program prepared before.

    Raises:
        FitError: a program that cannot learn on the chip.
        InputError: a program without its states' binary points.
    """
    net = learning_net(program)
    if any(np.issubdtype(q.weights.dtype, np.floating) for q in program.projections):
        raise InputError("program", "is in float", "Give a compiled program, or learn with words='wide'")
    old = ChipForward(filled(program, net), net, program.meta["formats"], _input_unit(program), 0)
    values = {k: old.weights[k] * old.units[k] for k in plastic(net)}
    for k in values:
        if floats and program.projections[k].name in floats:
            values[k] = floats[program.projections[k].name]
    program = _with_room(program, net)
    populations = {p.name: p for p in program.populations}
    projections = list(program.projections)
    for port in plastic_ports(net):
        unit = config.bound(port.bound) / 2 ** (config.weight_bits - 1)
        arrive = {k: unit * old.source_unit(projections[k].source) for k in port.projections}
        finest = min(arrive.values())
        for k in port.projections:
            exponent = round(np.log2(arrive[k] / finest))
            projections[k] = _stored(projections[k], values[k], unit, exponent, config, _live(program, k, masks))
        frac = program.meta["formats"][port.population][port.word]
        populations[port.population] = _with_unit(populations[port.population], port.port, finest, frac)
    if config.state_bits:
        for layer in net.layers:
            name = layer.population.name
            limit = np.asarray(2 ** (config.state_bits - 1) - 1, np.int32)
            populations[name] = replace(populations[name], params=dict(populations[name].params) | {"limit": limit})
    order = tuple(populations[p.name] for p in program.populations)
    return replace(program, populations=order, projections=tuple(projections), learning=plain(config))


def _with_room(program: Program, net: Net) -> Program:
    """Make room for learning: B and C of s6 layers travel in 16-bit payloads, so their unit grows."""
    formats = {name: dict(words) for name, words in program.meta["formats"].items()}
    populations = {p.name: p for p in program.populations}
    for layer in net.layers:
        if layer.shared is None or program.projections[layer.groups[0].shared].plastic:
            continue  # an ordinary layer, or prepared before
        own, shared = populations[layer.population.name], populations[layer.shared.name]
        formats[shared.name]["p"] -= _SHARED_ROOM
        shifts = {n: np.asarray(own.params[n]) - _SHARED_ROOM for n in ("sh_b", "sh_c")}
        bias = (np.asarray(shared.params["b"]) + (1 << (_SHARED_ROOM - 1))) >> _SHARED_ROOM
        populations[own.name] = replace(own, params=dict(own.params) | shifts)
        populations[shared.name] = replace(shared, params=dict(shared.params) | {"b": bias})
    order = tuple(populations[p.name] for p in program.populations)
    return replace(program, populations=order, meta=dict(program.meta) | {"formats": formats})


def _input_unit(program: Program) -> float:
    return float(program.meta.get("input", {}).get("scale", 1.0))


def _live(program: Program, k: int, masks: Mapping[str, Any] | None) -> Bools:
    q = program.projections[k]
    if masks and q.name in masks:
        return np.asarray(masks[q.name], bool)
    return (
        live_synapses(program, k)
        if q.plastic
        else np.ones((q.indptr.size - 1, program.population(q.target).size), bool)
    )


def _stored(q: Projection, value: Floats, unit: float, exponent: int, config: LearnConfig, live: Bools) -> Projection:
    limit = 2 ** (config.weight_bits - 1) - 1
    kind = np.int8 if config.weight_bits == 8 else np.int16
    matrix = np.clip(np.round(value / unit), -limit, limit).astype(kind)
    return with_weights(q, np.where(live, matrix, kind(0)), live, exponent, config.weight_bits, config.rule)


def with_weights(q: Projection, matrix: Array, live: Bools, exponent: int, bits: int, rule: str) -> Projection:
    """Return a plastic projection with these weights [n_source, n_target]; synapses that are not live are absent."""
    indptr = np.zeros(matrix.shape[0] + 1, np.int64)
    np.cumsum(live.sum(axis=1), out=indptr[1:])
    return replace(
        q,
        indptr=indptr,
        indices=np.nonzero(live)[1].astype(np.int32),
        weights=matrix[live],
        exponent=exponent,
        weight_bits=bits,
        layout="dense" if live.all() else "sparse",
        plastic=rule,
    )


def _with_unit(population: Population, port: str, unit: float, frac: int) -> Population:
    """Return the population with the port parameters for an accumulator whose 1 is worth `unit`, of a word with `frac` bits."""
    mantissa, exponent = np.frexp(unit * 2.0**frac)
    exact = mantissa == 0.5
    mul = 1 if exact else round(float(mantissa) * 2**_MULTIPLIER_BITS)
    shift = 1 - int(exponent) if exact else _MULTIPLIER_BITS - int(exponent)
    if not -31 <= shift <= 31:
        raise FitError(
            f"population {population.name!r}",
            f"port {port!r} needs a shift of {shift}, a 6-bit word",
            "Change the weight range",
        )
    names = ("mul", "sh") if port == "in" else (f"mul_{port}", f"sh_{port}")
    values = {names[0]: np.asarray(mul, np.int32), names[1]: np.asarray(shift, np.int32)}
    return replace(population, params=dict(population.params) | values)


def calibrate(
    program: Program,
    samples: Sequence[Array],
    labels: Sequence[I64],
    config: LearnConfig | None = None,
    seed: int = 0,
) -> Program:
    """Choose the binary points of the learning words: learn from some samples with wide words and look at the ranges.

    The weights of the result are those of `program`.

    Args:
        program: from `prepare`.
        samples: payloads [T, n_in] each.
        labels: [T] each, -1 where there is none.
        config: else the program's.
        seed: of the stochastic rounding meanwhile.
    """
    config = config or learn_config(program.learning)
    trial = Learner(on_one_core(program), msgspec.structs.replace(config, fracs={}), seed)
    for x, y in zip(samples, labels, strict=True):
        trial.sample(x, y)
    bits = widths(config.trace_bits, config.history_bits, config.adjoint_bits, config.accumulator_bits)
    fracs = {}
    for layer in trial.layers:
        grow = {n: _HEADROOM for n in bits if n.startswith(_GROWING)} | dict.fromkeys(_MOVING, 2.0)
        if chip_form(config.form).carries:
            grow |= {n: _BLOCK_TRACE_HEADROOM for n in bits if n.startswith("e_")}
        fracs[layer.layer.population.name] = _used(calibrated(layer.words, bits, grow), layer.words) | _of_moments(
            layer.rows
        )
    fracs[trial.readout.name] = _of_moments(trial.readout.rows)
    fracs |= {shared.name: _of_moments(shared.rows) for shared in trial.shared}
    return replace(program, learning=plain(msgspec.structs.replace(config, fracs=fracs)))


def on_one_core(program: Program) -> Program:
    """Return the program with all its neurons on one core: what it learns is the same, several times sooner."""
    core = np.where(program.core == HOST, HOST, program.core.max(initial=HOST))
    return replace(program, core=core.astype(np.int32))


def _used(fracs: dict[str, int], table: Floats) -> dict[str, int]:
    """Return only words that calibration saw: the others belong to other forms."""
    from simulator.plasticity.words.words import INDEX

    return {name: f for name, f in fracs.items() if table[PEAK, INDEX[name]] > 0}


def _of_moments(rows: Mapping[str, Any]) -> dict[str, int]:
    out = {}
    for name, row in rows.items():
        if row.rms is not None:
            peak = max(row.rms.peak, 1e-30) * _HEADROOM**2
            out[f"v_{name}"] = SECOND_MOMENT_BITS - int(np.ceil(np.log2(peak)))
    return out
