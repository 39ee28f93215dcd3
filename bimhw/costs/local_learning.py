"""Cost of the local rules of leaky networks on the chip beside inference, from the table of operations.

Every step pays for eligibilities and slopes of the hidden layers and for the readout's filter; a labelled step, paid as an update
every K steps, for the words of error or label that each core gets, signals, products and weights written. An optimiser has
no words: on the chip these rules are plain descent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from energy_models.forms import form_energy_pj
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.plasticity.operations import LOCAL_RULES, LocalLayer, LocalPair, local_operations
from simulator.program.program import Program

Counts = Mapping[str, int]
FAMILY = "leaky"


def local_forms(program: Program, chip: Chip, inference_nj: float, block: int) -> list[dict[str, str | float | None]]:
    """Return the energy a step of each local rule that is defined for a program of a leaky network; of any other none.

    Args:
        program: what learns.
        chip: whose constants are used.
        inference_nj: dynamic energy of a step of inference, for comparison.
        block: K, steps between two updates.
    """
    if program.meta.get("kind") != FAMILY:
        return []
    layers = list(_layers(program))
    classes = next(p.size for p in program.populations if p.role == "output")
    recurrent = any(q.source == q.target for q in program.projections)
    rows: list[dict[str, str | float | None]] = []
    for name, rule in LOCAL_RULES.items():
        if (recurrent and not rule.recurrent) or (layers[0][0].adaptive and not rule.adaptive):
            continue
        step, update = rule_counters(rule, layers, classes)
        low, nominal, high = (x / 1e3 for x in form_energy_pj(chip, step))
        at_label = form_energy_pj(chip, update)[1] / 1e3
        whole = nominal + at_label / block
        rows.append({
            "rule": name, "psp": "", "step_low_nj": low, "step_nj": nominal, "step_high_nj": high, "update_nj": at_label,
            "nj": whole, "times_inference": whole / inference_nj if inference_nj else None,
        })  # fmt: skip
    return rows


def rule_counters(rule: LocalPair, layers: list[tuple[LocalLayer, int]], classes: int) -> tuple[Counts, Counts]:
    """Return the counters of a step and of an update.

    Args:
        rule: the rule.
        layers: each hidden layer with the number of its cores.
        classes: C of the readout.
    """
    top = layers[-1][0].neurons
    step = Counter(learn_trace_rmw=top, learn_trace_mac=top)  # the readout's filter
    update = Counter(learn_weight_mac=top * classes, learn_weight_updates=top * classes, learn_error_words=classes)
    for layer, cores in layers:
        costs = local_operations(rule.eligibility, rule.signal, bool(rule.filtered), layer)
        step.update(learn_trace_rmw=costs.words, learn_trace_mac=costs.step_macs, learn_lut=costs.step_slopes)
        update.update(
            learn_weight_mac=costs.label_macs, learn_lut=costs.label_slopes, learn_error_words=costs.error_words * cores,
            learn_weight_updates=layer.inputs * layer.neurons * (rule.signal != "none"),
        )  # fmt: skip
    return step, update


def _layers(program: Program) -> Iterator[tuple[LocalLayer, int]]:
    """Return sizes and cores of the hidden layers, from below."""
    first, classes = program.first_ids(), next(p.size for p in program.populations if p.role == "output")
    hidden = [p for p in program.populations if p.model != INPUT_MODEL and p.role != "output"]
    for k, layer in enumerate(hidden):
        sources = {q.source for q in program.projections if q.target == layer.name}
        inputs = sum(program.population(name).size for name in sources)
        above = hidden[k + 1].size if k + 1 < len(hidden) else 0
        at = first[layer.name]
        cores = len(np.unique(program.core[at : at + layer.size]))
        yield LocalLayer(inputs, layer.size, classes, above, layer.model == "adaptive_lif"), cores
