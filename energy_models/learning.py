"""Cost of learning on a chip: operations of a learning step, and the constants that each is charged at.

Counter names are those of `simulator.plasticity.words.counts`. A read-modify-write is a read and a write of a state word, a
multiply-accumulate a multiplication and an addition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from energy_models.items import bounded
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quality, Quantity
from simulator.neurons.base import get
from simulator.plasticity.operations import OPERATIONS, PORTS, Psp

_RMW = ("op_state_read", "op_state_write")
_MAC = ("op_mul", "op_add")

# counter -> constants of one operation, summed; the first tuple whose constants are all in the chip file is used
LEARNING: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "learn_trace_rmw": (_RMW,),
    "learn_trace_mac": (_MAC,),
    "learn_carry_mac": (_MAC,),
    "learn_sweep_mac": (_MAC,),
    "learn_events": (("op_add",), ("synaptic_event",)),
    "learn_history_read": (("op_state_read",),),
    "learn_history_write": (("op_state_write",),),
    "learn_lut": (("op_lut",),),
    "learn_weight_mac": (_MAC,),
    "learn_weight_updates": (("learn_weight_update",), _RMW),
    "learn_neuron_word_updates": (_RMW,),
    "learn_optimiser_rmw": (_RMW,),
    "learn_optimiser_mac": (_MAC,),
    "learn_random": (("random_number",),),
    "learn_error_words": (("packet_out",),),
    "learn_error_mac": (_MAC,),
    "learn_error_messages": (("packet_out",),),
    "learn_shared_words": (("packet_out",),),
    "learn_stdp_rmw": (_RMW,),
    "learn_stdp_events": (("learn_weight_update",), _RMW),
    "learn_feature_rmw": (_RMW,),
    "learn_prune_ops": (("op_add",),),
}
_ORDER: tuple[Quality, ...] = ("measured", "simulated", "fitted", "scaled", "assumed", "unverified")

Optimiser = Literal["sgd", "rms", "adam"]


def psp_of(model: str) -> Psp | None:
    """Return the PSP kernel of a BIM-D neuron model (``bim_d_alpha`` ...); None for any other model."""
    known = get(model)
    return cast(Psp, known.traits.psp) if known.family == "bim_d" else None


def eligibility_words(model: str) -> int:
    """Return eligibility words a synapse triple that RTRL of this neuron model keeps; 0 for a model without."""
    psp = psp_of(model)
    return OPERATIONS[psp].words() if psp is not None else 0


def learning_constant(
    counter: str, chip: Chip, bounds: Mapping[str, tuple[float, float]] | None = None
) -> tuple[str, Quantity]:
    """Return the constant of one learning operation on a chip, with its key (several keys: their sum).

    Args:
        counter: of the activity.
        chip: whose constants are used.
        bounds: stated by the user for unknown constants, part by part.
    """
    choices = LEARNING.get(counter, ((counter,),))
    keys = next((c for c in choices if all(k in chip.energy for k in c)), choices[-1])
    absent = Quantity(None, "pJ", "not in the chip file", "unverified")
    parts = [bounded(chip.energy.get(key, absent), key, bounds or {}) for key in keys]
    return " + ".join(keys), parts[0] if len(parts) == 1 else composed(keys, parts)


def composed(keys: Sequence[str], parts: Sequence[Quantity]) -> Quantity:
    """Sum constants: value, low and high add; the quality is the worst of the parts."""

    def total(ends: Sequence[float | None]) -> float | None:
        known = [e for e in ends if e is not None]
        return sum(known) if len(known) == len(ends) else None

    values = total([p.value for p in parts])
    return Quantity(
        values,
        "pJ",
        "; ".join(dict.fromkeys(p.source for p in parts)),
        max((p.quality for p in parts), key=_ORDER.index),
        where=" + ".join(
            f"{k} {'unknown' if p.value is None else f'{p.value:g}'}" for k, p in zip(keys, parts, strict=True)
        ),
        low=total([p.low if p.low is not None else p.value for p in parts]),
        high=total([p.high if p.high is not None else p.value for p in parts]),
    )


def learning_counts(
    n_in: int,
    n_hidden: int,
    psp: Psp = "alpha",
    n_classes: int = 0,
    *,
    filtered: bool = True,
    optimiser: Optimiser = "sgd",
    density: float = 1.0,
    labelled: bool = True,
    between_layers: bool = False,
    averaged_slope: bool = False,
    active: float = 1.0,
    stdp_rates: tuple[float, float] | None = None,
) -> dict[str, int]:
    """Count operations of one step of exact dense RTRL (diag) of one layer on a chip, before anything was simulated.

    With M inputs, H neurons and S = density 3 M H plastic synapses: trace words and their MACs a synapse triple as in
    `simulator.plasticity.operations`, all in every step; third factor C H MACs from C broadcast error words; weight update
    S MACs and S weights written at labelled steps; optimiser words: SGD 0, RMS 3 a neuron, Adam 2 a synapse.

    Args:
        n_in, n_hidden, psp: M, H and the kernel.
        n_classes: C, error words of the readout; 0 for none.
        filtered: readout on filtered spikes.
        optimiser: sgd, rms (one second moment a neuron and port) or adam.
        density: share of synapses that were not pruned.
        labelled: the step has a label (errors, weight update).
        between_layers: a layer below gets its error through this layer's input weights (filt-Win).
        averaged_slope: by the running mean of its spike slope (filt-avg): a word and a MAC a neuron more, in every step.
        active: share of the neurons with a surrogate derivative that is not 0.
        stdp_rates: (input, output) firing rates, for the pairwise STDP term of the hybrid rule.

    Returns:
        Counter -> operations per step.
    """
    if min(n_in, n_hidden) < 1 or not 0 <= density <= 1 or psp not in OPERATIONS:
        got = f"got M={n_in}, H={n_hidden}, density={density}, psp={psp!r}"
        raise InputError("learning_counts", got, "Give sizes >= 1, 0..1")
    pairs, costs = density * n_in * n_hidden, OPERATIONS[psp]
    macs = sum(costs.trace_macs(filtered)) * pairs
    counts: dict[str, float] = {"learn_trace_rmw": costs.words(filtered) * pairs, "learn_trace_mac": macs}
    if labelled:
        counts |= {
            "learn_weight_mac": PORTS * pairs * active,
            "learn_weight_updates": PORTS * pairs * active,
            "learn_error_words": n_classes,
            "learn_error_mac": n_classes * n_hidden,
            "learn_optimiser_rmw": {"sgd": 0.0, "rms": 3.0 * n_hidden, "adam": 6 * pairs}[optimiser],
        }
        if between_layers:
            counts |= {"learn_error_messages": active * n_hidden}
            counts["learn_error_mac"] += active * pairs
    if averaged_slope:
        counts["learn_trace_rmw"] += n_hidden
        counts["learn_trace_mac"] += n_hidden
    if stdp_rates is not None:
        p_in, p_out = stdp_rates
        counts |= {"learn_stdp_rmw": n_in + n_hidden, "learn_stdp_events": (p_in + p_out) * pairs}
    return {name: round(n) for name, n in counts.items() if round(n)}
