"""Does a program that learns fit: the learning words of each core on top of the network's own memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args, get_type_hints

import numpy as np

from mapping.usage import Resource, usage
from simulator.base.arrays import I64
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.chips.load import chip_names, load_chip
from simulator.plasticity.budget import Item, learning_memory
from simulator.plasticity.config import LearnConfig, learn_config
from simulator.program.program import Program

_PLACES = {"synapse": ("synapse_bytes", "memory_bytes"), "neuron": ("state_bytes", "memory_bytes")}
_MEMORIES = ("synapse_bytes", "state_bytes", "memory_bytes")
_WAY_OUT = (
    "Use form seq or tr (no synaptic traces), fewer trace bits, the delta kernel, or spread the layer over more cores "
    "(neurons_per_core)"
)


def learning_usage(
    program: Program, chip: Chip, config: LearnConfig | None = None, steps: int = 0
) -> tuple[Resource, ...]:
    """Use of each resource by core, learning words included.

    Args:
        program: mapped.
        chip: its chip.
        config: of the learning, else the program's.
        steps: of a sample; 0: the program's ``sample_steps``.
    """
    config = config or learn_config(program.learning)
    return usage_with(program, chip, learning_memory(program, config, steps or program.facts.sample_steps or 1))


def usage_with(program: Program, chip: Chip, items: Sequence[Item]) -> tuple[Resource, ...]:
    """Return the use of each resource by core, with words beside the network's own."""
    out = []
    for resource in usage(program, chip):
        extra = sum(
            (_by_core(program, i) for i in items if resource.name in _PLACES[i.place]),
            np.zeros(len(resource.used), np.int64),
        )
        out.append(replace(resource, used=resource.used + extra) if resource.name in _MEMORIES else resource)
    return tuple(out)


def check_learning(
    program: Program, chip: Chip, config: LearnConfig | None = None, steps: int = 0
) -> tuple[Resource, ...]:
    """Return `learning_usage`, or raise `FitError` where a core's memory is too small, or the chip has no such learning.

    Raises:
        FitError: names the core, the resource, its use, its limit and the way out.
    """
    config = config or learn_config(program.learning)
    rules = chip.capabilities.learning
    if "*" not in rules and config.rule not in rules:
        raise FitError(
            f"learning rule {config.rule!r}",
            f"is not one of chip {chip.name!r}: {', '.join(rules) or 'none'}",
            "Try loihi2",
        )
    check_width(chip, config.weight_bits, config.rule)
    found = learning_usage(program, chip, config, steps)
    check_memory(found, _WAY_OUT)
    return found


def check_width(chip: Chip, bits: int, rule: str) -> None:
    """Raise `FitError` unless the chip stores weights of so many bits: learning keeps its words that wide."""
    allowed = chip.capabilities.weight_bits
    if bits in allowed:
        return
    own = [b for b in get_args(get_type_hints(LearnConfig)["weight_bits"]) if b in allowed]
    able = ((name, load_chip(name).capabilities) for name in chip_names())
    others = [name for name, can in able if bits in can.weight_bits and {"*", rule} & set(can.learning)]
    here = f"Learn with --bits {' or '.join(map(str, own))}, or compile" if own else "Compile"
    raise FitError(
        "option bits",
        f"is {bits} for weights that learn, and chip {chip.name!r} stores {', '.join(map(str, allowed))}",
        f"{here} for a chip that stores {bits}: {', '.join(others)}",
    )


def check_memory(found: Sequence[Resource], way_out: str) -> None:
    """Raise `FitError` for a core whose memory is too small for its words and those of learning."""
    for r in found:
        if r.name in _MEMORIES and r.over:
            raise FitError(
                f"core {r.at}",
                f"needs {r.worst} {r.name} with its learning words, the limit is {r.limit_there:.0f}",
                way_out,
            )


def _by_core(program: Program, item: Item) -> I64:
    """Return the bytes of an item on each core, shared out by the population's neurons (rounded up on each)."""
    first = program.first_ids()[item.population]
    size = program.population(item.population).size
    n_cores = int(program.core.max(initial=-1)) + 1
    neurons = np.bincount(program.core[first : first + size], minlength=n_cores).astype(np.int64)
    return (item.words * item.bits * neurons + 8 * size - 1) // (8 * size)
