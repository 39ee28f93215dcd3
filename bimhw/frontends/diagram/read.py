"""The file of a component diagram: JSON with components, interfaces and an anatomy table.

After structure-constrained interface decomposition (SCID), by which a function is divided into components along the regions of a
brain and the interfaces between them (Yamakawa 2021, Neural Networks 144). No file format is published; this one is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from simulator.base.errors import InputError
from simulator.base.reading import MAX_JSON_BYTES, boundary, parse_as, read_bytes

FORMAT: Final = "bimhw-diagram-1"
WHAT = "a component diagram"
WAY_OUT = "docs/literature/scid.md has the format"
Sign = Literal["excitatory", "inhibitory", "mixed"]
Role = Literal["input", "hidden", "output"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\s.]+$")]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
MOST_SYNAPSES = 50_000_000


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the function.

    Attributes:
        name: unique.
        neurons: of the skeleton.
        region: where the anatomy has it; by default the name.
        role: ``input`` is driven from outside, ``output`` is read.
        tau_steps: time constant of the membrane.
        threshold: of the neurons.
        function: what the part computes, for people.
    """

    name: Name
    neurons: Count
    region: str = ""
    role: Role = "hidden"
    tau_steps: Positive = 10.0
    threshold: Positive = 1.0
    function: str = ""

    @property
    def place(self) -> str:
        """Return the region."""
        return self.region or self.name


class Interface(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A connection between two components.

    Attributes:
        source, target: components.
        signal: what it carries, for people.
        sign: of its weights.
        probability: that two neurons are connected.
        strength: sum of the absolute weights of a neuron, as expected, in thresholds.
        delay: extra steps.
    """

    source: Name
    target: Name
    signal: str = ""
    sign: Sign = "excitatory"
    probability: Share = 0.1
    strength: Positive = 2.0
    delay: Annotated[int, msgspec.Meta(ge=0, le=62)] = 0


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A region of the anatomy.

    Attributes:
        name: unique.
        neurons: that it has; None: unknown.
    """

    name: str
    neurons: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Tract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A connection of the anatomy.

    Attributes:
        source, target: regions.
        sign: of its neurons; None: unknown.
        evidence: where it is reported.
    """

    source: str
    target: str
    sign: Sign | None = None
    evidence: str = ""


class Anatomy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table that the diagram is held against."""

    regions: tuple[Region, ...] = ()
    connections: tuple[Tract, ...] = ()


class Diagram(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole diagram; see the module.

    Attributes:
        format: ``bimhw-diagram-1``.
        name: of the system.
        function: what the whole computes, for people.
        components, interfaces: the diagram.
        anatomy: None: there is none, and nothing is checked against it.
    """

    format: Literal["bimhw-diagram-1"]
    components: Annotated[tuple[Component, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    interfaces: tuple[Interface, ...] = ()
    anatomy: Anatomy | None = None
    name: str = ""
    function: str = ""


def read_diagram(source: Path | str | bytes | dict[str, object]) -> Diagram:
    """Read a diagram from a file, from JSON bytes, or from the parsed object.

    Raises:
        InputError: no such file, not JSON, or not a diagram; the message has the path of the value.
    """
    where = str(source) if isinstance(source, Path | str) else "diagram"
    data = read_bytes(Path(source), MAX_JSON_BYTES) if isinstance(source, Path | str) else source
    if isinstance(data, bytes):
        diagram = parse_as(data, Diagram, where, WHAT, WAY_OUT)
    else:
        with boundary(where, WHAT, WAY_OUT):
            diagram = msgspec.convert(data, Diagram)
    _check(diagram, where)
    return diagram


def _check(diagram: Diagram, where: str) -> None:
    names = [c.name for c in diagram.components]
    for k, name in enumerate(names):
        if name in names[:k]:
            raise InputError(f"{where}: $.components[{k}].name", f"{name!r} exists twice", "Rename one")
    sizes, seen = {c.name: c for c in diagram.components}, set[tuple[str, str]]()
    synapses = 0.0
    for k, each in enumerate(diagram.interfaces):
        for end, name in (("source", each.source), ("target", each.target)):
            if name not in sizes:
                raise InputError(
                    f"{where}: $.interfaces[{k}].{end}",
                    f"{name!r} is no component",
                    f"Components: {', '.join(names[:20])}",
                )
        if sizes[each.target].role == "input":
            raise InputError(
                f"{where}: $.interfaces[{k}].target", f"{each.target!r} is an input", "Give it another role"
            )
        if (each.source, each.target) in seen:
            raise InputError(f"{where}: $.interfaces[{k}]", f"joins {each.source} to {each.target} again", "Remove one")
        seen.add((each.source, each.target))
        synapses += each.probability * sizes[each.source].neurons * sizes[each.target].neurons
        if synapses > MOST_SYNAPSES:
            raise InputError(
                f"{where}: $.interfaces[{k}]", f"brings the skeleton to {synapses:.3g} synapses, more than {MOST_SYNAPSES:,}",
                "Lower its probability",
            )  # fmt: skip
