"""Cost of learning on the chip beside inference: by rule, form, PSP kernel, steps an update, trace width, price of an event.

A step of exact learning costs what its form does (`energy_models.forms`); an update, paid every K steps, adds error words, third
factor, weights written and the optimiser's words (`energy_models.learning`). Below lambda = 1 pairwise STDP comes on top (its
traces in every step, its events at the rates of the run); at lambda = 0 there is STDP alone. Words that are read and written cost
in proportion to their width, where the chip says for which width its constants are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from bimhw.costs.local_learning import local_forms
from energy_models.forms import FORMS, form_counts, form_energy_pj
from energy_models.learning import LEARNING, Optimiser, learning_constant, learning_counts, psp_of
from energy_models.spread import weakest
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.plasticity.operations import OPERATIONS, Psp
from simulator.program.program import Program

Parts = tuple[float, float, float]  # low, nominal, high
_STATE_KEYS = ("op_state_read", "op_state_write")
_UPDATE = (
    "learn_weight_updates",
    "learn_error_words",
    "learn_error_mac",
    "learn_error_messages",
    "learn_optimiser_rmw",
)


@dataclass(frozen=True)
class LearningPrice:
    """Parameters of the comparison.

    Attributes:
        psp: kernel; None: the program's own.
        block: K, steps an update (and the blocks of BLK and TR).
        lookback: L of TR.
        lam: weight of the gradient against STDP: 1 none, 0 STDP alone.
        trace_bits: width of the words that learning reads and writes; None: that of the chip's constants.
        event_pj: price of a replayed synaptic event with its word; None: an addition and a word.
        optimiser: sgd, rms or adam.
    """

    psp: Psp | None = None
    block: int = 64
    lookback: int = 64
    lam: float = 1.0
    trace_bits: int | None = None
    event_pj: float | None = None
    optimiser: Optimiser = "rms"

    def check(self) -> None:
        """Raise `InputError` where a parameter cannot be."""
        if self.event_pj is not None and not 0 <= self.event_pj < 1e6:
            raise InputError("--event-pj", f"is {self.event_pj}, must be at least 0 and below 1e6")
        if not 0 <= self.lam <= 1:
            raise InputError("--lambda", f"is {self.lam}, must be in 0..1")
        if self.psp is not None and self.psp not in OPERATIONS:
            raise InputError("--psp", f"is {self.psp!r}", f"Kernels: {', '.join(OPERATIONS)}")
        if self.trace_bits is not None and not 1 <= self.trace_bits <= 64:
            raise InputError("--trace-bits", f"is {self.trace_bits}, must be in 1..64")
        if self.optimiser not in get_args(Optimiser):
            raise InputError("--optimiser", f"is {self.optimiser!r}", f"One of {', '.join(get_args(Optimiser))}")


def learning_forms(
    program: Program, chip: Chip, rates: Mapping[str, float], inference_nj: float, price: LearningPrice
) -> list[dict[str, Any]]:
    """Return the energy a step of each form for all BIM-D layers of a program, or of each local rule for a leaky network.

    Args:
        program: what learns.
        chip: whose constants are used.
        rates: population -> events a neuron and step.
        inference_nj: dynamic energy of a step of inference, for comparison.
        price: parameters.

    Returns:
        Rows: form, kernel, low/nominal/high of a step, of an update, and both together over K steps; empty without such layers.
    """
    price.check()
    silicon = _with_width(chip, price.trace_bits)
    pairs = list(_pairs(program, price.psp))
    if not pairs:
        local = local_forms(program, silicon, inference_nj, price.block)
        return [r | {"trust": _word(silicon)} for r in local]
    classes = sum(p.size for p in program.populations if p.role == "output")
    update = _sum(_energy(silicon, _update_counts(*pair[2:5], classes, price), None) for pair in pairs)
    stdp = _sum(_energy(silicon, _stdp_counts(*pair[2:4], rates[pair[0]], rates[pair[1]]), None) for pair in pairs)
    rows = []
    word = _word(silicon)
    for form in FORMS:
        step = _sum(
            _energy(silicon, form_counts(form, m, h, psp, rates[source], price.block, price.lookback), price.event_pj)
            for source, _, m, h, psp in pairs
        )
        rows.append(_row(form, pairs[0][4], step, update, stdp, inference_nj, price))
    found = [r for r in rows if r is not None] + [_stdp_row(stdp, inference_nj)]
    return [r | {"trust": word} for r in found]


def _word(chip: Chip) -> str:
    """Return the weakest quality of the constants that learning is charged by."""
    constants = (learning_constant(counter, chip, {})[1] for counter in LEARNING)
    return weakest(q.quality for q in constants if q.value)


def _row(
    form: str, psp: Psp, step: Parts, update: Parts, stdp: Parts, inference_nj: float, price: LearningPrice
) -> dict[str, Any] | None:
    if price.lam == 0:
        return None
    if price.lam < 1:
        step = _sum([step, stdp])
    whole = _sum([step, tuple(u / price.block for u in update)])
    return {
        "rule": f"{form}{' + STDP' if price.lam < 1 else ''}",
        "psp": psp,
        "step_low_nj": step[0] / 1e3,
        "step_nj": step[1] / 1e3,
        "step_high_nj": step[2] / 1e3,
        "update_nj": update[1] / 1e3,
        "nj": whole[1] / 1e3,
        "times_inference": whole[1] / 1e3 / inference_nj if inference_nj else None,
    }


def _stdp_row(stdp: Parts, inference_nj: float) -> dict[str, Any]:
    low, nominal, high = (x / 1e3 for x in stdp)
    return {
        "rule": "stdp", "psp": "", "step_low_nj": low, "step_nj": nominal, "step_high_nj": high, "update_nj": 0.0,
        "nj": nominal, "times_inference": nominal / inference_nj if inference_nj else None,
    }  # fmt: skip


def _pairs(program: Program, psp: Psp | None) -> list[tuple[str, str, int, int, Psp]]:
    """Return (source, target, M, H, kernel) of each pair of populations with eligibilities."""
    out = []
    for target in program.populations:
        own = psp_of(target.model)
        if own is None or target.role == "output":
            continue
        for name in dict.fromkeys(q.source for q in program.projections if q.target == target.name):
            out.append((name, target.name, program.population(name).size, target.size, psp or own))
    return out


def _update_counts(m: int, h: int, psp: Psp, classes: int, price: LearningPrice) -> dict[str, int]:
    counts = learning_counts(m, h, psp, classes, optimiser=price.optimiser)
    return {k: n for k, n in counts.items() if k in _UPDATE}


def _stdp_counts(m: int, h: int, rate_in: float, rate_out: float) -> dict[str, int]:
    counts = learning_counts(m, h, "delta", labelled=False, stdp_rates=(rate_in, rate_out))
    return {k: n for k, n in counts.items() if "stdp" in k}


def _energy(chip: Chip, counts: Mapping[str, int], event_pj: float | None) -> Parts:
    return form_energy_pj(chip, counts, event_pj)


def _sum(parts: Any) -> Parts:
    low, nominal, high = (float(sum(column)) for column in zip(*parts, strict=True))
    return low, nominal, high


def _with_width(chip: Chip, bits: int | None) -> Chip:
    """Return the chip with its constants for reading and writing a state word in proportion to the width of the word.

    Raises:
        InputError: the chip does not say for which width its constants are.
    """
    if bits is None:
        return chip
    if chip.state_word_bits is None:
        raise InputError(
            f"chip {chip.name!r}",
            "does not say for which width its constants of a state word are, so --trace-bits cannot scale them",
            "Add $.state_word_bits to a chip file of your own, or leave --trace-bits away",
        )
    factor = bits / chip.state_word_bits
    energy = dict(chip.energy)
    for key in _STATE_KEYS:
        if key in energy:
            q = energy[key]
            ends = {n: None if (v := getattr(q, n)) is None else v * factor for n in ("value", "low", "high")}
            energy[key] = msgspec.structs.replace(q, note=f"scaled to {bits} of {chip.state_word_bits} bits", **ends)
    return msgspec.structs.replace(chip, energy=energy)
