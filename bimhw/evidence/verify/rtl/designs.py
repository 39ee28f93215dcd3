"""The designs whose recordings can be replayed, told apart by the fields that only they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bimhw.evidence.verify.rtl.case import Case, Comparison
from simulator.base.errors import InputError


@dataclass(frozen=True)
class Design:
    """A recorded design.

    Attributes:
        name: as the tables print it.
        fields: fields that a recording of it has, and no other's.
        replay: runs the model and compares.
    """

    name: str
    fields: frozenset[str]
    replay: Callable[[Case], Comparison]


def _designs() -> tuple[Design, ...]:
    from bimhw.evidence.verify.rtl import n1, odin, reckon

    return (
        Design("Catalyst N1 routers", frozenset({"packets", "injected", "ejected"}), n1.replay_routers),
        Design("Catalyst N1 cores", frozenset({"routes", "global_routes", "start_cycle"}), n1.replay_chip),
        Design("Catalyst N1 core", frozenset({"index", "pool", "ucode", "synaptic_ops"}), n1.replay_core),
        Design("ReckOn", frozenset({"alpha12", "w_rec", "s0_phases", "s1_phases"}), reckon.replay),
        Design("ODIN", frozenset({"neuron_ids", "updown_before", "operations", "recorded_until"}), odin.replay),
    )


def design_of(case: Case) -> Design:
    """Return the design that a case was recorded from.

    Raises:
        InputError: its fields are those of no known design.
    """
    known = _designs()
    for design in known:
        if design.fields <= set(case.fields):
            return design
    names = ", ".join(d.name for d in known)
    raise InputError(f"case {case.name}", f"has the fields of no known design: {', '.join(sorted(case.fields))}",
                     f"Designs: {names}")  # fmt: skip
