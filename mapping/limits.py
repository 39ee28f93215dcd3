"""Does it fit, and what to change: capabilities of a chip against a network, limits of its cores against a program.

Every rule is one function that raises one `FitError` with the object, the quantity, the value, the limit and the way out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapping.network import Network
from mapping.usage import Resource
from mapping.words import stored_bits, value_bits
from simulator.base.errors import FitError, InputError
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.chips.load import chip_names, load_chip
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection
from simulator.program.program import Program

GRADED_BITS = 16  # payload of graded neuron models
_WIDTH = "Compile with --bits of one of these; integers keep their values, so scale them down before"
WAYS_OUT = {
    "neurons": "Split the population over more cores (more cores, or a larger chip)",
    "synapse_bytes": "Use fewer weight bits, prune, or more cores",
    "state_bytes": "Use fewer neurons per core, a frozen A_log (one shared table), or more cores",
    "memory_bytes": "Use fewer weight bits, prune, or put fewer neurons on the core (--neurons-per-core)",
    "in_axons": "Reduce the fan-in of the core's neurons, or spread them over more cores",
    "out_axons": "Reduce the number of cores that one neuron reaches, or put fewer neurons on the core",
    "state_bytes_per_neuron": "Use a neuron model with fewer state words",
}


def check_capabilities(network: Network, chip: Chip, weight_bits: int | None = None) -> None:
    """Raise `FitError` unless the chip's cores can do what the network asks, memory apart.

    Args:
        network: float or integer stage.
        chip: the chip.
        weight_bits: bits to quantise to; by default the integers' own (`mapping.words.stored_bits`).
    """
    missing = _missing_model(network, chip)
    if missing is not None:
        raise FitError(
            f"population {missing.name!r}",
            f"needs the neuron model {missing.model!r}, and chip {chip.name!r} runs only "
            f"{', '.join(chip.capabilities.neuron_models)}",
            _chips_that_run(network),
        )
    _check_units(network, chip)
    for p in network.populations:
        _check_graded(p, payload_bits(network, p), chip)
    for q in network.projections:
        _check_delay(q, chip)
        _check_bits(q, chip, weight_bits or (None if network.stage == "integer" else q.weight_bits))
        _check_learning(q, chip)


def _check_units(network: Network, chip: Chip) -> None:
    """Refuse a hardware unit that the network asks for by name (`Network.meta`, ``units``) and no core has."""
    for kind, asked in network.meta.get("units", {}).items():
        for name, who in asked.items():
            if not chip.has_unit(kind, name):
                raise FitError(
                    who,
                    f"asks for the {kind} unit {name!r}, and a core of chip {chip.name!r} has {', '.join(chip.units[kind])}",
                    "Correct the name, or import the architecture that has the unit",
                )


def _missing_model(network: Network, chip: Chip) -> Population | None:
    """Return the first population whose neuron model the chip does not have."""
    runs = chip.capabilities.neuron_models
    if "*" in runs:
        return None
    return next((p for p in network.populations if p.model != INPUT_MODEL and p.model not in runs), None)


def _chips_that_run(network: Network) -> str:
    names = []
    for name in chip_names():
        try:
            chip = load_chip(name)
        except InputError:
            continue
        if _missing_model(network, chip) is None:
            names.append(name)
    return f"Chips with its neuron models: {', '.join(names)}" if names else "No chip that comes with bimhw has it"


def _check_graded(p: Population, bits: int, chip: Chip) -> None:
    if bits == 0:
        return
    can = chip.capabilities
    if can.spikes != "graded":
        raise FitError(
            f"population {p.name!r}",
            f"sends graded spikes, and chip {chip.name!r} has binary spikes only",
            "Encode the input as binary spikes, or choose a chip with graded spikes",
        )
    if bits > can.graded_bits:
        raise FitError(
            f"population {p.name!r}",
            f"sends graded spikes of {bits} bits, and chip {chip.name!r} carries {can.graded_bits}",
            "Scale the payloads down",
        )


def payload_bits(network: Network, p: Population) -> int:
    """Return bits (with sign) of the graded spikes that a population sends; 0 for binary spikes."""
    if p.model == INPUT_MODEL:
        entry = network.meta.get("input", {})
        return int(entry.get("payload_bits", 0))  # one word for all inputs
    return GRADED_BITS if get(p.model).emits == "graded" else 0


def _check_delay(q: Projection, chip: Chip) -> None:
    if q.delay > chip.capabilities.max_delay:
        raise FitError(
            f"projection {q.name!r}",
            f"needs an extra delay of {q.delay} steps, and chip {chip.name!r} delays at most {chip.capabilities.max_delay}",
            "Shorten the delay, or relay the spikes through a population",
        )


def check_widths(program: Program, chip: Chip) -> None:
    """Raise `FitError` where a program's weights are in words that the chip does not store; widths are judged as in compiling.

    Weights that learn keep their declared width; others are judged by their values.
    """
    for q in program.projections:
        _check_bits(q, chip, None)


def _check_bits(q: Projection, chip: Chip, bits: int | None) -> None:
    allowed = chip.capabilities.weight_bits
    stores = f"chip {chip.name!r} stores {', '.join(map(str, allowed))}"
    if bits is None:
        if stored_bits(q, chip) is not None:
            return
        if q.plastic:
            raise FitError(f"projection {q.name!r}", f"has weights of {q.weight_bits} bits, and {stores}", _WIDTH)
        low, high = int(q.weights.min()), int(q.weights.max())
        problem = f"has weights {low}..{high}, which need {value_bits(q.weights)} bits, and {stores}"
        raise FitError(f"projection {q.name!r}", problem, _WIDTH)
    if bits not in allowed:
        raise FitError(f"projection {q.name!r}", f"has weights of {bits} bits, and {stores}", _WIDTH)


def _check_learning(q: Projection, chip: Chip) -> None:
    if q.plastic and "*" not in chip.capabilities.learning and q.plastic not in chip.capabilities.learning:
        rules = ", ".join(chip.capabilities.learning) or "none"
        raise FitError(
            f"projection {q.name!r}",
            f"learns by {q.plastic!r}, and chip {chip.name!r} has these learning rules: {rules}",
            "Compile it without learning, or choose another chip",
        )


def check_core_count(program: Program, chip: Chip) -> None:
    """Raise `FitError` where a program uses more cores than the chip has, or a broken one."""
    t, used = chip.topology, np.unique(program.core[program.core >= 0])
    if used.size > chip.n_cores:
        more = -(-used.size * t.chips // chip.n_cores)
        raise FitError(
            "program",
            f"needs {used.size} cores, and chip {chip.name!r} has {chip.n_cores}",
            f"Use {more} chips (--chips {more}), fewer neurons, fewer weight bits, or prune",
        )
    if chip.core_limits and used.size and int(used[-1]) >= t.mesh_cores:
        raise FitError(
            "program",
            f"needs {used.size} cores, and fewer of chip {chip.name!r} are large enough",
            f"Use more chips (--chips {t.chips + 1}), fewer weight bits, or prune",
        )
    broken = sorted(set(used.tolist()) & set(t.broken_cores))
    if broken:
        raise FitError(f"core {broken[0]}", f"is broken on chip {chip.name!r}", "Map the program again")
    missing = [c for c in used.tolist() if not t.works(c)]
    if missing:
        each = f" on each of {t.chips} chips, numbered by {t.chip_cores}" if t.chips > 1 else ""
        raise FitError(
            f"core {missing[-1]}", f"does not exist: chip {chip.name!r} has cores 0..{t.usable_cores - 1}{each}"
        )


def check_limits(program: Program, chip: Chip, resources: Sequence[Resource]) -> None:
    """Raise `FitError` at the first resource of a core that is beyond its limit."""
    for r in resources:
        if not r.over:
            continue
        at = r.at
        where = "neuron" if r.name == "state_bytes_per_neuron" else f"core {at} ({_populations_on(program, at)})"
        raise FitError(
            where, f"needs {r.worst:,} {r.name}, and chip {chip.name!r} allows {r.limit_there:,.0f}", WAYS_OUT[r.name]
        )


def _populations_on(program: Program, core: int) -> str:
    first = program.first_ids()
    names = [
        p.name for p in program.populations if (program.core[first[p.name] : first[p.name] + p.size] == core).any()
    ]
    return ", ".join(names)


def unchecked(resources: Sequence[Resource]) -> list[str]:
    """Return names of the limits that were never published and so are not checked."""
    return [r.name for r in resources if r.limit is None]
