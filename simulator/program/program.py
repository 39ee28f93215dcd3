"""`Program`: all that a chip executes, one file (`.bimhw`: safetensors with JSON metadata, never unpickled)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulator.base.arrays import I32, Array
from simulator.base.errors import InputError
from simulator.base.files import read_safetensors, write_safetensors
from simulator.base.misplaced import check_readable_kind
from simulator.base.reading import boundary, parse_as, parse_object
from simulator.base.shown import Shown
from simulator.program.blocks import has_short_targets, with_short_pointers
from simulator.program.graph import Population, Projection
from simulator.program.header import Facts, Header, ProjectionHeader
from simulator.program.meta import ProgramMeta, program_meta
from simulator.program.shared import SharedProjection
from simulator.program.spikes import SpikeTrain

FORMAT = "bimhw-program-1"
HOST = -1  # core number of neurons that live outside the chip


@dataclass(frozen=True, eq=False, repr=False)
class Program(Shown):
    """A mapped integer network.

    Attributes:
        chip: name of the chip file it was compiled for.
        chip_sha256: hash of that chip file's content.
        populations: in logical order; neuron ids run through them.
        projections: integer stage.
        core: int32 [N], core of each neuron; `HOST` for external inputs.
        learning: configuration of on-chip learning, empty for inference.
        meta: JSON-able facts (task, steps, formats of the states, decoding, model hash ...); `facts` are those that bimhw reads.
        inputs: input spikes that its source brought, run where no others are given; they are no part of `sha256`.
    """

    chip: str
    chip_sha256: str
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    core: I32
    learning: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    inputs: SpikeTrain | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "meta", Facts(self.meta))

    @cached_property
    def facts(self) -> ProgramMeta:
        """The meta as typed values; raises `InputError` for a value out of its range."""
        return program_meta(self.meta)

    @property
    def n_neurons(self) -> int:
        """Number of logical neurons, inputs included."""
        return sum(p.size for p in self.populations)

    @property
    def cores_used(self) -> int:
        """Number of cores that hold its neurons."""
        return int(np.unique(self.core[self.core != HOST]).size)

    def first_ids(self) -> dict[str, int]:
        """Return the logical id of the first neuron of each population."""
        first, out = 0, {}
        for population in self.populations:
            out[population.name] = first
            first += population.size
        return out

    def population(self, name: str) -> Population:
        """Return the population of this name."""
        for population in self.populations:
            if population.name == name:
                return population
        names = [p.name for p in self.populations]
        raise InputError(f"population {name!r}", "is not in the program", f"It has: {names}")

    def check(self) -> None:
        """Raise `InputError` unless the program is consistent and every value lies in its range."""
        from simulator.program.check import check_program

        check_program(self)

    def save(self, path: Path | str) -> None:
        """Write the program; to a temporary name first, then renamed."""
        tensors: dict[str, Array] = {"core": self.core}
        populations, projections = [], []
        for i, p in enumerate(self.populations):
            populations.append(
                {
                    "name": p.name,
                    "model": p.model,
                    "size": p.size,
                    "layer": p.layer,
                    "role": p.role,
                    "shape": list(p.shape),
                    "params": list(p.params),
                    "tables": list(p.tables),
                }
            )
            tensors |= {f"pop{i}.param.{k}": np.asarray(v) for k, v in p.params.items()}
            tensors |= {f"pop{i}.table.{k}": v for k, v in p.tables.items()}
        for i, q in enumerate(self.projections):
            projections.append(_plain(q))
            tensors |= {f"proj{i}.{k}": _stored(q, k) for k in _arrays(q)}
        if self.inputs is not None:
            tensors |= _input_tensors(self.inputs)
        header = {
            "format": FORMAT,
            "chip": self.chip,
            "chip_sha256": self.chip_sha256,
            "populations": populations,
            "projections": projections,
            "learning": dict(self.learning),
            "meta": dict(self.meta),
        }
        write_safetensors(Path(path), tensors, {"bimhw": json.dumps(header, sort_keys=True)})

    @staticmethod
    def load(path: Path | str) -> Program:
        """Read a program file.

        Raises:
            InputError: missing, truncated or altered file, or a file of something else.
        """
        where = Path(path)
        try:
            tensors, metadata = read_safetensors(where, hashed=True)
        except InputError as error:
            if where.suffix == ".bimhw" or not where.is_file():
                raise
            check_readable_kind(where)
            raise InputError(str(where), "is not a bimhw program", f"Make one: bimhw compile {where}") from error
        with boundary(where, "a bimhw program", "Compile it again"):
            if parse_object(metadata.get("bimhw", "{}"), where).get("format") != FORMAT:
                raise InputError(str(where), "is not a bimhw program", "Make one with: bimhw compile MODEL -o x.bimhw")
            header = parse_as(metadata["bimhw"], Header, where, "the header of a bimhw program", "Compile it again")
            program = _from_parts(header, tensors)
        try:
            program.check()
        except InputError as error:
            raise InputError(f"{where}: {error.where}", error.problem, error.way_out or "Compile it again") from error
        return replace(program, projections=tuple(with_short_pointers(q) for q in program.projections))

    def sha256(self) -> str:
        """Hash everything that decides what the chip does."""
        digest = hashlib.sha256(self.chip_sha256.encode())
        for p in self.populations:
            digest.update(f"{p.name}|{p.model}|{p.size}|{p.layer}".encode())
            for k, v in sorted(p.params.items()):
                digest.update(k.encode() + np.ascontiguousarray(v).tobytes())
            for k, t in sorted(p.tables.items()):
                digest.update(k.encode() + t.tobytes())
        for q in self.projections:
            digest.update(json.dumps(_plain(q)).encode())
            for name in _arrays(q):
                digest.update(np.ascontiguousarray(_stored(q, name)).tobytes())
        digest.update(self.core.tobytes() + json.dumps(dict(self.learning), sort_keys=True).encode())
        return digest.hexdigest()


_PROJECTION_FIELDS = (
    "name", "source", "target", "port", "delay", "exponent", "weight_bits", "layout", "shared_words", "plastic",
)  # fmt: skip


def _plain(q: Projection) -> dict[str, object]:
    """Return the fields of a projection but its arrays."""
    names = (
        (*_PROJECTION_FIELDS, "channels", "channel_words") if isinstance(q, SharedProjection) else _PROJECTION_FIELDS
    )
    return {k: getattr(q, k) for k in names} | ({"first": q.first} if q.first else {})


def _arrays(q: Projection) -> tuple[str, ...]:
    own = ("indptr", "indices", "weights")
    return (*own, "row", "offset", "template") if isinstance(q, SharedProjection) else own


def _stored(q: Projection, name: str) -> Array:
    """Return an array of a projection as files and hashes have it: row pointers have 64 bits beside 16-bit targets, too."""
    array: Array = getattr(q, name)
    return array.astype(np.int64, copy=False) if name == "indptr" and has_short_targets(q) else array


def _projection_from(header: ProjectionHeader, tensors: dict[str, Array], i: int) -> Projection:
    facts: dict[str, Any] = msgspec.structs.asdict(header)
    names = ("indptr", "indices", "weights") + (() if header.channels is None else ("row", "offset", "template"))
    facts |= {k: tensors.pop(f"proj{i}.{k}") for k in names}
    if header.channels is None:
        return Projection(**{k: facts[k] for k in (*_PROJECTION_FIELDS, *names)}, first=header.first)
    return SharedProjection(**facts)


def _from_parts(header: Header, tensors: dict[str, Array]) -> Program:
    populations = tuple(
        Population(
            name=p.name,
            model=p.model,
            size=p.size,
            params={k: tensors.pop(f"pop{i}.param.{k}") for k in p.params},
            tables={k: tensors.pop(f"pop{i}.table.{k}") for k in p.tables},
            layer=p.layer,
            role=p.role,
            shape=p.shape,
        )
        for i, p in enumerate(header.populations)
    )
    projections = tuple(_projection_from(q, tensors, i) for i, q in enumerate(header.projections))
    core, inputs = tensors.pop("core"), _inputs_from(tensors)
    if tensors:
        raise InputError("program", f"holds the unknown array {min(tensors)!r}", "Compile it again")
    return Program(
        header.chip, header.chip_sha256, populations, projections, core, header.learning, header.meta, inputs
    )


def _input_tensors(inputs: SpikeTrain) -> dict[str, Array]:
    tensors: dict[str, Array] = {"input.ptr": inputs.ptr, "input.ids": inputs.ids}
    return tensors if inputs.payload is None else tensors | {"input.payload": inputs.payload}


def _inputs_from(tensors: dict[str, Array]) -> SpikeTrain | None:
    if "input.ptr" not in tensors:
        return None
    return SpikeTrain(tensors.pop("input.ptr"), tensors.pop("input.ids"), tensors.pop("input.payload", None))
