"""What a sweep is: a task or a model, axes with their values, and the points of their product.

An axis is ``sparsity``, ``rate``, ``lambda``, ``bits``, ``chip``, ``cores`` (neurons per core), ``supply``, ``seed``, any
option of `bimhw train` (``hidden``, ``epochs``, ``lr`` ...), or any number of the chip file by its path (``timing.synapse``,
``energy.synaptic_event``). A point is keyed by a hash of all that determines its result.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import bimhw
from energy_models.scaling import scaled_chip
from simulator.chip import Chip, load_chip
from simulator.chip_rules import check_chip
from simulator.errors import InputError
from simulator.quantity import Quantity

COMPILE_AXES = ("bits", "state_bits")
HARDWARE_AXES = ("chip", "cores", "supply")
RENAMED = {"sparsity": "prune", "rate": "rate_target", "lambda": "lam"}
SECTIONS = ("timing", "energy", "limits")


@dataclass(frozen=True)
class SweepSpec:
    """A sweep.

    Attributes:
        source: task name, or path of a model file (then there are no training axes).
        axes: axis -> values.
        options: training options that all points share.
        preset: training preset, or None.
        samples: test samples a point, None for all.
        task: task of a model file, where it does not say.
        engine: timing engine, or ``none``.
    """

    source: str
    axes: Mapping[str, tuple[Any, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    samples: int | None = None
    task: str | None = None
    engine: str = "compiled"

    def check(self) -> None:
        """Raise `InputError` where an axis or a value cannot be."""
        for axis, values in self.axes.items():
            if not values:
                raise InputError(f"axis {axis!r}", "has no values", "Give at least one, e.g. --sparsity 0,0.5")
            if len(set(values)) != len(values):
                raise InputError(f"axis {axis!r}", "names a value twice", "Name each once")
            if self.is_model and kind_of(axis) == "train":
                raise InputError(
                    f"axis {axis!r}", f"needs training, and {self.source!r} is a trained model", "Sweep a task"
                )
        for value in self.axes.get("cores", ()):
            if not isinstance(value, int) or value < 1:
                raise InputError("axis 'cores'", f"has the value {value}; neurons per core must be at least 1")
        if self.engine not in ("compiled", "bound", "clocked", "simpy", "none"):
            raise InputError(
                f"engine {self.engine!r}", "is not known", "Engines: compiled, bound, clocked, simpy, none"
            )
        if self.samples is not None and self.samples < 1:
            raise InputError("samples", f"is {self.samples}, must be at least 1")
        self._check_options()

    def _check_options(self) -> None:
        if self.is_model:
            if not Path(self.source).is_file():
                raise InputError(self.source, "does not exist", "Give a task's name or a model file")
            return
        from bimhw.learning.recipe import recipe
        from bimhw.tasks import load_task

        task = load_task(self.source)
        for point in self.points():
            recipe(task, self.preset, point.seed, **point.training())

    @property
    def is_model(self) -> bool:
        """Whether the source is a file."""
        return Path(self.source).suffix in (".pt", ".safetensors", ".nir")

    def points(self) -> Iterator[Point]:
        """All points, the first axis slowest."""
        for values in itertools.product(*self.axes.values()):
            yield Point(self, dict(zip(self.axes, values, strict=True)))


def kind_of(axis: str) -> str:
    """``train``, ``compile`` or ``hardware``: what an axis changes."""
    if axis in COMPILE_AXES:
        return "compile"
    if axis in HARDWARE_AXES or axis.split(".")[0] in SECTIONS:
        return "hardware"
    return "train"


def digest(*parts: Any) -> str:
    """Hash of JSON-able values."""
    text = json.dumps(parts, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Point:
    """One point of a sweep."""

    spec: SweepSpec
    axes: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """Seed of training and of the chip."""
        return int(self.axes.get("seed", self.spec.options.get("seed", 0)))

    def training(self) -> dict[str, Any]:
        """Options of `bimhw train`, the seed apart."""
        out = {k: v for k, v in self.spec.options.items() if k != "seed"}
        for axis, value in self.axes.items():
            if kind_of(axis) == "train" and axis != "seed":
                out[RENAMED.get(axis, axis)] = value
        if "lambda" in self.axes:
            out.setdefault("rule", "hybrid")
        if "rate" in self.axes:
            out.setdefault("rate_strength", 1.0)
        return out

    def compilation(self) -> dict[str, Any]:
        """Options of `bimhw compile` that change function."""
        return {k: v for k, v in self.axes.items() if kind_of(k) == "compile"}

    def model_key(self) -> str:
        """Hash of all that determines the trained model."""
        if self.spec.is_model:
            return digest("model", hashlib.sha256(Path(self.spec.source).read_bytes()).hexdigest())
        return digest("train", bimhw.__version__, self.spec.source, self.spec.preset, self.seed, self.training())

    def function_key(self) -> str:
        """Hash of all that determines what the chip computes."""
        return digest("function", self.model_key(), self.compilation(), self.spec.samples, self.seed, self.spec.task)

    def chip(self) -> Chip:
        """The chip with this point's numbers.

        Raises:
            InputError: no such chip or number, or a value that breaks a rule.
        """
        chip = load_chip(str(self.axes.get("chip", "loihi2")))
        for axis, value in self.axes.items():
            if axis.split(".")[0] in SECTIONS:
                chip = _with_number(chip, axis, value)
        check_chip(chip, f"chip {chip.name!r}")
        return scaled_chip(chip, self.axes.get("supply"))

    def hardware_key(self) -> str:
        """Hash of all that determines counters and times: function, mesh, limits, times and mapping, but no energies."""
        c = self.chip()
        parts = [msgspec.to_builtins(x) for x in (c.capabilities, c.topology, c.limits, c.timing)]
        parts += [msgspec.to_builtins(c.link)] if c.topology.chips > 1 else []
        return digest("hardware", self.function_key(), parts, self.axes.get("cores"), self.spec.engine)

    def key(self) -> str:
        """Hash of all that determines the result."""
        return digest("point", self.hardware_key(), self.chip().sha256())


def _with_number(chip: Chip, path: str, value: float) -> Chip:
    section, _, name = path.partition(".")
    home = getattr(chip, section)
    old = home.get(name) if isinstance(home, dict) else getattr(home, name, None)
    if not isinstance(old, Quantity):
        raise InputError(f"axis {path!r}", f"is not a number of chip {chip.name!r}", "See `bimhw chips show NAME`")
    new = msgspec.structs.replace(
        old, value=float(value), low=None, high=None, quality="assumed", note="set by a sweep"
    )
    if isinstance(home, dict):
        return msgspec.structs.replace(chip, **{section: home | {name: new}})
    return msgspec.structs.replace(chip, **{section: msgspec.structs.replace(home, **{name: new})})
