"""Specification of a sweep: a task or a model, axes with their values, and the points of their product.

An axis is one of ``sparsity``, ``rate``, ``lambda``, ``bits``, ``state_bits``, ``per_row``, ``free_scales``, ``chip``, ``cores``
(neurons per core), ``mapping``, ``copies`` (of the network, a sample on each; or ``max``), ``objective`` (of the mapping),
``supply`` (V), ``node`` (nm), ``seed``, any option of `bimhw train` (``epochs``, ...),
``faults`` (YAML files of what is broken) or one of their numbers (``faults.drop_rate``), or any number of the chip file by its
path (``timing.synapse``, ``energy.synaptic_event``). A point is keyed by a hash of all that
determines its result.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bimhw.runs.request import Engine
from bimhw.studies.sweep.values import COMPILE_AXES, SECTIONS, check_values, with_number
from energy_models.gpu_card import load_gpu
from energy_models.scaling import scaled_chip
from mapping.network import Network
from simulator.base.errors import InputError, unknown_name
from simulator.base.misplaced import check_no_run_folder
from simulator.base.names import VERSION
from simulator.base.near import missing_path
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.chips.rules import check_chip
from simulator.program.faults import Faults, parse_faults, read_faults
from simulator.program.program import Program

if TYPE_CHECKING:
    from bimhw.tasks.base import Task
    from bimhw.tasks.dataset import Dataset

HARDWARE_AXES = ("chip", "cores", "mapping", "copies", "objective", "supply", "node")
ENGINES = ("compiled", "bound", "clocked", "simpy", "none")
RENAMED = {"sparsity": "prune", "rate": "rate_target", "lambda": "lam"}
FAULTS = "faults"


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
        data: the user's copy of the task's data, where it needs one; or, of a model file without `task`, samples of the
            user's own (`bimhw.Dataset`).
        task_options: options of the task's loader.
        reading: how a model file is read (``profile``, ``dt`` of a .nir file).
        data_options: options of samples of the user's own (``encoding``, ``layout``, ``steps`` ...).
        gpu: card beside the chip, by name or YAML file; None: none.
    """

    source: str
    axes: Mapping[str, tuple[Any, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    samples: int | None = None
    task: str | None = None
    engine: Engine = "compiled"
    data: str | None = None
    task_options: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    data_options: Mapping[str, Any] = field(default_factory=dict)
    gpu: str | None = None

    def check(self) -> None:
        """Raise `InputError` where an axis or a value cannot be."""
        for axis, values in self.axes.items():
            if not values:
                raise InputError(f"axis {axis!r}", "has no values", "Give at least one, e.g. --sparsity 0,0.5")
            if len(set(values)) != len(values):
                raise InputError(f"axis {axis!r}", "names a value twice", "Name each once")
            check_axis(axis)
            if self.is_model and kind_of(axis) == "train" and axis != "seed":
                raise InputError(
                    f"axis {axis!r}", f"needs training, and {self.source!r} is a trained model", "Sweep a task"
                )
        check_values(self.axes)
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        if self.samples is not None and self.samples < 1:
            raise InputError("samples", f"is {self.samples}, must be at least 1")
        if any(axis.split(".")[0] == FAULTS for axis in self.axes):
            if "copies" in self.axes:
                raise InputError("axis 'copies'", "cannot be swept with faults", "Sweep one of the two")
            for point in self.points():
                point.faults()
        if self.gpu is not None:
            load_gpu(self.gpu)
        self._check_options()

    def _check_options(self) -> None:
        from bimhw.tasks import TASKS

        check_no_run_folder(self.source)
        if self.is_model and not Path(self.source).is_file():
            raise missing_path(self.source, "Give a task's name or a model file")
        name = self.task if self.is_model else self.source
        if name is not None and name in TASKS and TASKS[name].kind == "text":
            raise InputError(
                f"task {name!r}",
                "is a text, and sweeps judge sequences by their class",
                "Sweep a task of sequences; `bimhw codesign RUN` answers for a text's run",
            )
        if self.is_model:
            self._check_model()
            return
        from bimhw.learning.heeded import check_heeded
        from bimhw.learning.recipe import recipe

        task = self.load_task(self.source)
        points = list(self.points())
        plans = [recipe(task, self.preset, point.seed, **point.training()) for point in points]
        check_heeded({name: True for point in points for name in point.training()}, *(p.settings for p in plans))

    def _check_model(self) -> None:
        """Refuse at once, before anything is written, a model that cannot be read or says not what it is run on."""
        network = self.network(self.source)
        if network.stage == "integer" and any(kind_of(axis) == "compile" for axis in self.axes):
            axis = next(axis for axis in self.axes if kind_of(axis) == "compile")
            raise InputError(f"axis {axis!r}", f"changes quantisation, and {self.source!r} holds integers", "Drop it")
        self.data_of(network)

    def network(self, model: str | Path) -> Network:
        """Return the network of a model file; recorded outputs of the user's data say how it is read, as for `compile`."""
        from bimhw.frontends import load_network

        own = self.is_model and self.task is None and self.data is not None
        return load_network(model, self._own_data() if own else None, **self.reading)

    def _own_data(self) -> Dataset:
        from bimhw.tasks.dataset import Dataset

        return Dataset.open(self.data, **self.data_options)

    def data_of(self, network: Network | Program) -> Task | Dataset | None:
        """Return what a network is run on: a task, data, or None for the inputs that it brings.

        Raises:
            InputError: none of them, or a task that is not one of sequences.
        """
        from bimhw.compiler.data import guessed_task

        name = self.task or (None if self.is_model else self.source)
        if name is None and self.data is not None:
            return self._own_data()
        if name is None and network.inputs is not None:
            return None
        name = name or str(network.meta.get("task") or "")
        if not name and isinstance(network, Network):
            name = guessed_task(network)
        if not name:
            raise InputError(self.source, "does not say what it is run on", "Give --data FILE or --task NAME")
        return self.load_task(name)

    @property
    def is_model(self) -> bool:
        """True if the source is a file; no task has a dot in its name."""
        return bool(Path(self.source).suffix)

    def load_task(self, name: str) -> Task:
        """Load the task of this name, from the user's copy of its data where one is given."""
        from bimhw.tasks import load_named

        task: Task = load_named(name, None if self.data is None else Path(self.data), self.task_options)
        return task

    def data_key(self) -> list[Any]:
        """Return what identifies the data: loader options, names and sizes of the user's files."""
        if self.data is None:
            return list(self.task_options)
        root = Path(self.data)
        files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        return [*self.task_options, *([str(p.relative_to(root)), p.stat().st_size] for p in files)]

    def points(self) -> Iterator[Point]:
        """Yield all points, the first axis slowest."""
        for values in itertools.product(*self.axes.values()):
            yield Point(self, dict(zip(self.axes, values, strict=True)))


def check_axis(axis: str) -> None:
    """Raise `InputError` for an axis that nothing knows, with the nearest one that is."""
    known = known_axes()
    if axis not in known and axis.split(".")[0] not in SECTIONS:
        raise unknown_name("axis", axis, known, listed="Axes", more="or a number of the chip file")


def known_axes() -> list[str]:
    """Return all axes but the numbers of a chip file."""
    from bimhw.learning.train import TrainSettings
    from bimhw.models.registry import families

    trained = [(f.config, f.training().init) for f in families() if f.training is not None]
    kinds: list[type[msgspec.Struct]] = [TrainSettings, *(kind for pair in trained for kind in pair)]
    fields = list(dict.fromkeys(f for kind in kinds for f in kind.__struct_fields__))
    broken = [FAULTS, *(f"{FAULTS}.{name}" for name in Faults.__struct_fields__)]
    return [*RENAMED, *COMPILE_AXES, *HARDWARE_AXES, "delays", *fields, *broken]


def kind_of(axis: str) -> str:
    """Return what an axis changes: ``train``, ``compile`` or ``hardware``."""
    if axis in COMPILE_AXES:
        return "compile"
    if axis in HARDWARE_AXES or axis.split(".")[0] in (*SECTIONS, FAULTS):
        return "hardware"
    return "train"


def digest(*parts: Any) -> str:
    """Hash JSON-able values."""
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
        """Return the options of `bimhw train`, the seed apart."""
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
        """Return the options of `bimhw compile` that change function."""
        return {k: v for k, v in self.axes.items() if kind_of(k) == "compile"}

    def model_key(self) -> str:
        """Hash all that determines the trained model."""
        if self.spec.is_model:
            return digest("model", hashlib.sha256(Path(self.spec.source).read_bytes()).hexdigest())
        spec = self.spec
        key = ("train", VERSION, spec.source, spec.preset, self.seed, self.training())
        return digest(*key, *([spec.data_key()] if spec.data or spec.task_options else []))

    def function_key(self) -> str:
        """Hash all that determines what the chip computes."""
        spec = self.spec
        key: list[Any] = ["function", self.model_key(), self.compilation(), spec.samples, self.seed, spec.task]
        key += [dict(spec.reading)] if spec.reading else []
        key += [dict(spec.data_options)] if spec.data_options else []
        key += self._natives()
        return digest(*key, *([spec.data_key()] if spec.data or spec.task_options else []))

    def _natives(self) -> list[str]:
        """Return the chip's own neurons that may stand for others; none where it runs any neuron."""
        from bimhw.compiler.lower.natives.base import natives_of

        models = load_chip(str(self.axes.get("chip", "loihi2"))).capabilities.neuron_models
        return [] if "*" in models else [native.target for native in natives_of(models)]

    def chip(self) -> Chip:
        """Return the chip with this point's numbers.

        Raises:
            InputError: no such chip or number, or a value that breaks a rule.
        """
        chip = self._numbered(SECTIONS)
        check_chip(chip, f"chip {chip.name!r}")
        return scaled_chip(chip, self.axes.get("supply"), self.axes.get("node"))

    def mapping_chip(self) -> Chip:
        """Return the chip that the network is mapped for: times and energies are the file's, whatever the axes say.

        Points that differ in them alone share one mapping, and it is the same whichever of them is computed first.
        """
        return self._numbered([s for s in SECTIONS if s not in ("timing", "energy")])

    def _numbered(self, sections: Collection[str]) -> Chip:
        chip = load_chip(str(self.axes.get("chip", "loihi2")))
        for axis, value in self.axes.items():
            if axis.split(".")[0] in sections:
                chip = with_number(chip, axis, value)
        return chip

    def faults(self) -> Faults | None:
        """Return what is broken at this point; None where no axis says so.

        Raises:
            InputError: no such file, or a value that cannot be.
        """
        axes = {axis: value for axis, value in self.axes.items() if axis.split(".")[0] == FAULTS}
        if not axes:
            return None
        file = axes.pop(FAULTS, None)
        values = msgspec.to_builtins(Faults() if file is None else read_faults(Path(str(file))))
        return parse_faults(values | {axis.partition(".")[2]: value for axis, value in axes.items()})

    def mapping_key(self) -> str:
        """Hash all that determines the mapping and the counters: function, the chip that is mapped for, and the mapper."""
        mapper = [self.axes.get("cores"), self.axes.get("mapping", "auto")]
        mapper += [self.axes["objective"]] if "objective" in self.axes else []
        return digest("mapping", self.function_key(), self.mapping_chip().sha256(), *mapper)

    def hardware_key(self) -> str:
        """Hash all that determines counters and times, but no energies."""
        c = self.chip()
        parts = [msgspec.to_builtins(c.timing)] + ([msgspec.to_builtins(c.link)] if c.topology.chips > 1 else [])
        parts += [] if c.board_link is None else [msgspec.to_builtins(c.board_link)]
        faults = self.faults()
        broken = [] if faults is None else [msgspec.to_builtins(faults)]
        return digest("hardware", self.mapping_key(), parts, self.spec.engine, *broken)

    def key(self) -> str:
        """Hash all that determines the result."""
        held = [self.axes["copies"]] if "copies" in self.axes else []
        held += [] if self.spec.gpu is None else [msgspec.to_builtins(load_gpu(self.spec.gpu))]
        return digest("point", self.hardware_key(), self.chip().sha256(), *held)
