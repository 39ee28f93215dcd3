"""`Program`: all that a chip executes, one file (`.bimhw`: safetensors with JSON metadata, never unpickled)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError
from simulator.base.files import read_safetensors, write_safetensors
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

Array = npt.NDArray[Any]
FORMAT = "bimhw-program-1"
HOST = -1  # core number of neurons that live outside the chip


@dataclass(frozen=True, eq=False)
class Program:
    """A mapped integer network.

    Attributes:
        chip: name of the chip file it was compiled for.
        chip_sha256: hash of that chip file's content.
        populations: in logical order; neuron ids run through them.
        projections: integer stage.
        core: int32 [N], core of each neuron; `HOST` for external inputs.
        learning: configuration of on-chip learning, empty for inference.
        meta: JSON-able facts for people and tools (task, steps, formats of the states, decoding, model hash ...).
        inputs: input spikes that its source brought, run where no others are given; they are no part of `sha256`.
    """

    chip: str
    chip_sha256: str
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    core: npt.NDArray[np.int32]
    learning: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    inputs: SpikeTrain | None = None

    @property
    def n_neurons(self) -> int:
        """Number of logical neurons, inputs included."""
        return sum(p.size for p in self.populations)

    def first_ids(self) -> dict[str, int]:
        """Logical id of the first neuron of each population."""
        first, out = 0, {}
        for population in self.populations:
            out[population.name] = first
            first += population.size
        return out

    def population(self, name: str) -> Population:
        """The population of this name."""
        for population in self.populations:
            if population.name == name:
                return population
        names = [p.name for p in self.populations]
        raise InputError(f"population {name!r}", "is not in the program", f"It has: {names}")

    def check(self) -> None:
        """Raise `InputError` unless the program is consistent: names, sizes, ranges, cores."""
        sizes = {p.name: p.size for p in self.populations}
        if len(sizes) != len(self.populations):
            raise InputError("program", "has two populations of one name", "Rename one")
        if self.core.shape != (self.n_neurons,):
            raise InputError("program: core", f"has shape {self.core.shape}, not ({self.n_neurons},)")
        for p in self.projections:
            where = f"projection {p.name!r}"
            for end in (p.source, p.target):
                if end not in sizes:
                    raise InputError(where, f"names the population {end!r}, which does not exist")
            if p.indptr.shape != (sizes[p.source] + 1,) or p.indptr[0] != 0 or p.indptr[-1] != p.indices.size:
                raise InputError(where, "has row pointers that do not fit its synapses")
            if (np.diff(p.indptr) < 0).any():
                raise InputError(where, "has row pointers that go backwards")
            if p.indices.size and not 0 <= int(p.indices.min()) <= int(p.indices.max()) < sizes[p.target]:
                raise InputError(where, f"has a target outside 0..{sizes[p.target] - 1}")
            if p.weights.shape != p.indices.shape:
                raise InputError(where, f"has {p.weights.size} weights for {p.indices.size} synapses")
        if self.inputs is not None:
            self._check_inputs(self.inputs)

    def _check_inputs(self, inputs: SpikeTrain) -> None:
        ptr, ids = inputs.ptr, inputs.ids
        if ptr.ndim != 1 or not ptr.size or ptr[0] != 0 or ptr[-1] != ids.size or (np.diff(ptr) < 0).any():
            raise InputError("program: inputs", "have step pointers that do not fit their spikes")
        if inputs.payload is not None and inputs.payload.shape != ids.shape:
            raise InputError("program: inputs", f"have {inputs.payload.size} payloads for {ids.size} spikes")
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < self.n_neurons:
            raise InputError("program: inputs", f"have ids outside 0..{self.n_neurons - 1}")

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
            plain = {k: getattr(q, k) for k in _PROJECTION_FIELDS}
            projections.append(plain)
            tensors |= {f"proj{i}.{k}": getattr(q, k) for k in ("indptr", "indices", "weights")}
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
        write_safetensors(Path(path), tensors, {"bimhw": json.dumps(header, sort_keys=True)}, hashed=True)

    @staticmethod
    def load(path: Path | str) -> Program:
        """Read a program file.

        Raises:
            InputError: missing, truncated or altered file, or a file of something else.
        """
        where = Path(path)
        tensors, metadata = read_safetensors(where, hashed=True)
        header = json.loads(metadata.get("bimhw", "{}"))
        if header.get("format") != FORMAT:
            raise InputError(str(where), "is not a bimhw program", "Make one with: bimhw compile MODEL -o x.bimhw")
        try:
            program = _from_parts(header, tensors)
        except KeyError as missing:
            raise InputError(str(where), f"lacks {missing}", "Compile it again") from missing
        program.check()
        return program

    def sha256(self) -> str:
        """Hash of everything that decides what the chip does."""
        digest = hashlib.sha256(self.chip_sha256.encode())
        for p in self.populations:
            digest.update(f"{p.name}|{p.model}|{p.size}|{p.layer}".encode())
            for k, v in sorted(p.params.items()):
                digest.update(k.encode() + np.ascontiguousarray(v).tobytes())
            for k, t in sorted(p.tables.items()):
                digest.update(k.encode() + t.tobytes())
        for q in self.projections:
            digest.update(json.dumps({k: getattr(q, k) for k in _PROJECTION_FIELDS}).encode())
            for a in (q.indptr, q.indices, q.weights):
                digest.update(np.ascontiguousarray(a).tobytes())
        digest.update(self.core.tobytes() + json.dumps(dict(self.learning), sort_keys=True).encode())
        return digest.hexdigest()


_PROJECTION_FIELDS = (
    "name", "source", "target", "port", "delay", "exponent", "weight_bits", "layout", "shared_words", "plastic",
)  # fmt: skip


def _from_parts(header: dict[str, Any], tensors: dict[str, Array]) -> Program:
    populations = tuple(
        Population(
            name=p["name"],
            model=p["model"],
            size=p["size"],
            params={k: tensors[f"pop{i}.param.{k}"] for k in p["params"]},
            tables={k: tensors[f"pop{i}.table.{k}"] for k in p["tables"]},
            layer=p["layer"],
            role=p["role"],
            shape=tuple(p["shape"]),
        )
        for i, p in enumerate(header["populations"])
    )
    projections = tuple(
        Projection(
            indptr=tensors[f"proj{i}.indptr"],
            indices=tensors[f"proj{i}.indices"],
            weights=tensors[f"proj{i}.weights"],
            **q,
        )
        for i, q in enumerate(header["projections"])
    )
    return Program(
        header["chip"],
        header["chip_sha256"],
        populations,
        projections,
        tensors["core"],
        header["learning"],
        header["meta"],
        _inputs_from(tensors),
    )


def _input_tensors(inputs: SpikeTrain) -> dict[str, Array]:
    tensors: dict[str, Array] = {"input.ptr": inputs.ptr, "input.ids": inputs.ids}
    return tensors if inputs.payload is None else tensors | {"input.payload": inputs.payload}


def _inputs_from(tensors: dict[str, Array]) -> SpikeTrain | None:
    if "input.ptr" not in tensors:
        return None
    return SpikeTrain(tensors["input.ptr"], tensors["input.ids"], tensors.get("input.payload"))
