"""`Dataset`: recorded samples of a user's own, for every command that runs, calibrates or learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bimhw.tasks.base import Split, Task
from bimhw.tasks.labels import as_labels
from bimhw.tasks.samples import Samples
from bimhw.tasks.width import inputs_text, values_of
from simulator.base.arrays import Array, Floats
from simulator.base.errors import InputError, unknown_name
from simulator.base.shown import Shown

Layout = Literal["tb", "bt", "static"]
LAYOUTS: tuple[Layout, ...] = ("tb", "bt", "static")
ENCODINGS = ("rate", "latency", "delta", "graded")
_AXES = {"tb": "[T, B, ...]", "bt": "[B, T, ...]", "static": "[B, ...], the same at every step"}


_STILL = "Use rate, latency or graded"
_GENERAL = ("layout", "steps", "encoding", "seed", "name")  # fields that a caller may set for any source


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Shown):
    """Recorded samples: inputs, and perhaps labels or targets and the outputs of another framework.

    Attributes:
        x: inputs, [T, B, ...] or [B, T, ...], or [B, ...] for an input that is the same at every step.
        y: labels [B], or real targets [B, C] or [B, T, C].
        out: recorded outputs, in the layout of x.
        layout: ``tb``, ``bt`` or ``static``; None finds it by the shapes.
        steps: T of a static input.
        name: for reports.
        encoding: how real values become spikes: ``rate``, ``latency``, ``delta`` or ``graded``; None quantises them.
        seed: of the rate code.
        notes: what the reader made of the samples, for people.
        inputs: of a network with several inputs, values by the name of the input, each in the layout of x; else empty.
        targets, recorded: of a network with several outputs, y and out by the name of the output; else empty.
    """

    x: Array
    y: Array | None = None
    out: Array | None = None
    layout: Layout | None = None
    steps: int | None = None
    name: str = "data"
    encoding: str | None = None
    seed: int = 0
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, Array] = field(default_factory=dict)
    targets: Mapping[str, Array] = field(default_factory=dict)
    recorded: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layout not in (None, *LAYOUTS):
            raise unknown_name("layout", self.layout, LAYOUTS)
        if self.encoding not in (None, *ENCODINGS):
            raise unknown_name("encoding", self.encoding, ENCODINGS)
        named = [("x", self.x), *((f"x.{n}", v) for n, v in self.inputs.items())]
        named += [(f"out.{n}" if n else "out", v) for n, v in self._named_recorded()]
        named += [(f"y.{n}" if n else "y", v) for n, v in self._named_targets() if v.dtype.kind not in "US"]
        for what, values in named:
            if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
                raise InputError(f"{self.name}: {what}", "has values that are not finite numbers", "Clean the data")
        if self.steps is not None and self.steps < 1:
            raise InputError("steps", f"is {self.steps}, must be at least 1")

    @staticmethod
    def open(source: object, **how: Any) -> Dataset:
        """Return the dataset of a file or folder, a torch Dataset or DataLoader, or a tonic dataset.

        Args:
            source: see `bimhw.tasks.readers`.
            how: ``layout``, ``steps``, ``encoding``, ``seed``, and what its reader takes (``time_step``, ``size``).

        Raises:
            InputError: no such file, a kind that no reader knows, or wrong arrays.
        """
        from bimhw.tasks.readers import read_fields

        given = {k: v for k, v in how.items() if v is not None}
        general = {k: given.pop(k) for k in _GENERAL if k in given}
        if isinstance(source, Dataset):
            return replace(source, **general)
        return Dataset(**{**read_fields(source, given), **general})

    def samples(
        self,
        width: int,
        count: int | None = None,
        names: Mapping[str, int] | None = None,
        steps: int | None = None,
        once: bool = False,
    ) -> Samples:
        """Return samples [B, T, width] for a network with this many inputs.

        Args:
            width: inputs of the network, all together.
            count: the first samples only.
            names: input -> its width, of a network with several inputs; they lie side by side in this order.
            steps: T of a still input where the dataset does not say it: the network's own.
            once: a still input comes at the first step only, and the network keeps it (sigma-delta).

        Raises:
            InputError: shapes that do not meet, or an input that the data lacks.
        """
        if self.steps is None and steps is not None and self._is_still(width, names):
            return replace(self, steps=steps).samples(width, count, names, once=once)
        if self.inputs:
            return self._side_by_side(count, names or {}, once)
        channels = values_of(width, self.encoding)
        layout, note = self._layout(channels)
        x = self._batch_first(self.x, layout, channels)
        if once and layout == "static" and self.encoding is None:
            x = np.concatenate([x[:, :1], np.zeros_like(x[:, 1:])], axis=1)
        batch = x.shape[0]
        if x.shape[1] == 0:
            raise InputError(f"{self.name}: x", f"has shape {self.x.shape}: no steps", "Give at least one")
        if count is not None and not 1 <= count <= batch:
            raise InputError("samples", f"is {count}, {self.name} has {batch}")
        taken = slice(0, batch if count is None else count)
        targets = {n: self._of_samples(f"y.{n}" if n else "y", v, batch)[taken] for n, v in self._named_targets()}
        recorded = {
            n: self._recorded_values(f"out.{n}" if n else "out", v, layout, batch)[taken]
            for n, v in self._named_recorded()
        }
        y, out = targets.pop("", None), recorded.pop("", None)
        notes = (*self.notes, *((note,) if note else ()))
        return self._encoded(Samples(x[taken], y, out, notes, targets, recorded))

    def _named_targets(self) -> list[tuple[str, Array]]:
        """Name and values; y itself has no name."""
        return [*([] if self.y is None else [("", self.y)]), *self.targets.items()]

    def _named_recorded(self) -> list[tuple[str, Array]]:
        return [*([] if self.out is None else [("", self.out)]), *self.recorded.items()]

    def _of_samples(self, what: str, values: Array, batch: int) -> Array:
        if values.shape[:1] != (batch,):
            there = values.shape[0] if values.ndim else "no"
            raise InputError(f"{self.name}: {what}", f"has {there} entries for {batch} samples", "Give one a sample")
        return values

    def _recorded_values(self, what: str, values: Array, layout: Layout, batch: int) -> Array:
        """Return recorded outputs as [B, T, m]."""
        if values.ndim < 2:
            raise InputError(f"{self.name}: {what}", f"has shape {values.shape}, needs samples and steps")
        first = self._of_samples(what, values.swapaxes(0, 1) if layout == "tb" else values, batch)
        return first.reshape(*first.shape[:2], -1)

    def _is_still(self, width: int, names: Mapping[str, int] | None) -> bool:
        parts = [replace(self, x=self.inputs[n], inputs={}) for n in self.inputs] or [self]
        widths = [values_of((names or {}).get(n, width), self.encoding) for n in self.inputs or [""]]
        return all(part._layout(w)[0] == "static" for part, w in zip(parts, widths, strict=True))

    def _side_by_side(self, count: int | None, names: Mapping[str, int], once: bool = False) -> Samples:
        if set(self.inputs) != set(names):
            wanted = ", ".join(f"x.{n}" for n in names) or "one x"
            raise InputError(
                self.name, f"holds {', '.join(f'x.{n}' for n in self.inputs)}", f"The network takes {wanted}"
            )
        parts = [replace(self, x=self.inputs[n], inputs={}).samples(w, count, once=once) for n, w in names.items()]
        shapes = {n: part.x.shape[:2] for n, part in zip(names, parts, strict=True)}
        if len(set(shapes.values())) != 1:
            raise InputError(
                self.name, f"has inputs of different samples and steps: {shapes}", "Bring them to one length"
            )
        notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        return replace(parts[0], x=np.concatenate([part.x for part in parts], axis=2), notes=notes)

    def _layout(self, width: int) -> tuple[Layout, str]:
        """Return the layout, and a note where it was found by shape."""
        if self.layout is not None:
            return self.layout, ""
        shape, labels = self.x.shape, next((v.shape[0] for _, v in self._named_targets() if v.ndim), None)
        fits: list[Layout] = []
        if len(shape) >= 2 and math.prod(shape[2:]) == width:
            axes: tuple[tuple[Layout, int], ...] = (("tb", 1), ("bt", 0))
            fits += [
                layout
                for layout, batch in axes
                if labels in (None, shape[batch]) and self.steps in (None, shape[1 - batch])
            ]
        if math.prod(shape[1:]) == width and labels in (None, shape[0]) and not fits:
            fits.append("static")
        if not fits:
            raise InputError(
                f"{self.name}: x",
                f"has shape {shape}"
                + ("" if labels is None else f" for {labels} labels")
                + f"; the network takes {inputs_text(width, self.encoding)}",
                f"Give x as {_AXES['tb']} or {_AXES['bt']}",
            )
        found = fits[0]
        unsure = f" ({' and '.join(fits)} both fit: --data-option layout=bt chooses)" if len(fits) > 1 else ""
        return found, f"x of shape {shape} read as {_AXES[found]}{unsure}"

    def _batch_first(self, x: Array, layout: Layout, width: int) -> Array:
        if layout == "static":
            if self.encoding == "delta":
                raise InputError(
                    "encoding 'delta'", f"sends changes, and {self.name} has none: x is {_AXES[layout]}", _STILL
                )
            if self.steps is None:
                raise InputError(
                    f"{self.name}: x", "is the same at every step, so it does not tell T", "Give --data-option steps=T"
                )
            if math.prod(x.shape[1:]) != width:
                raise InputError(
                    f"{self.name}: x", f"has shape {x.shape}; the network takes {inputs_text(width, self.encoding)}"
                )
            flat = x.reshape(x.shape[0], 1, width)
            return np.broadcast_to(flat, (x.shape[0], self.steps or 1, width))
        if x.ndim < 2 or math.prod(x.shape[2:]) != width:
            way = "The size of the sensor may be missing: --data-option size=34x34" if x.ndim == 5 else ""
            taken = inputs_text(width, self.encoding)
            problem = f"has shape {x.shape}, needs {_AXES[layout]} with {width} values a step for {taken}"
            raise InputError(f"{self.name}: x", problem, way)
        first = x.swapaxes(0, 1) if layout == "tb" else x
        if self.steps is not None and first.shape[1] != self.steps:
            raise InputError("steps", f"is {self.steps}, {self.name} has {first.shape[1]} steps a sample")
        return first.reshape(*first.shape[:2], width)

    def _encoded(self, samples: Samples) -> Samples:
        """Encode real values as spikes by the encoding that was asked for."""
        if self.encoding in (None, "graded"):
            return samples
        from bimhw.tasks.features import encoders

        x = samples.x.astype(np.float64)
        if self.encoding == "delta":
            threshold = float(np.ptp(x)) / 16 or 1.0
            note = f"delta code: an ON or OFF spike for each change of {threshold:.4g}"
            spikes = encoders.delta(x, threshold)
        else:
            still, steps = x[:, 0], self.steps or x.shape[1]
            if samples.x.strides[1] != 0 and x.shape[1] > 1 and (x != x[:, :1]).any():
                raise InputError(
                    f"encoding {self.encoding!r}", "needs the same input at every step", "Use delta or graded"
                )
            top = float(still.max(initial=0.0)) or 1.0
            note = f"{self.encoding} code over {steps} steps, {top:.4g} is the largest value"
            code = (
                encoders.rate(still / top, steps, self.seed)
                if self.encoding == "rate"
                else encoders.latency(still / top, steps)
            )
            spikes = code
        return replace(samples, x=spikes.astype(np.int32), notes=(*samples.notes, note))

    def width(self) -> int:
        """Return the values of a step, as the layout tells; without one, all axes but the first two.

        Values [B, n] with a number of steps are the same at every step.

        Raises:
            InputError: x has too few axes to tell.
        """
        still = self.layout is None and self.x.ndim == 2 and self.steps is not None
        lead = 1 if still or self.layout == "static" else 2
        if self.x.ndim <= lead:
            raise InputError(
                f"{self.name}: x",
                f"has shape {self.x.shape}, which does not tell the values of a step",
                "Give --data-option layout=bt, tb or static",
            )
        return math.prod(self.x.shape[lead:]) * (2 if self.encoding == "delta" else 1)

    def task(
        self,
        width: int | None = None,
        input_scale: float | None = None,
        test_share: float = 0.2,
        classes: int | None = None,
    ) -> Task:
        """Return the labelled samples as a task to learn: the last `test_share` of each class is its test split.

        Args:
            width: inputs of the network; as the data tell, by default.
            input_scale: value of payload 1; by default 1 for whole numbers, else a power of two that gives 8 bits.
            test_share: of the samples of each class.
            classes: of the network, of which the samples may show some; by default the largest label says it.

        Raises:
            InputError: no labels, a label that the network has no class for, or too few samples.
        """
        samples = self.samples(self.width() if width is None else width)
        if input_scale is None:
            whole = samples.x.dtype.kind in "iub" or bool((samples.x == np.rint(samples.x)).all())
            input_scale = 1.0 if whole else power_of_two_scale(samples.x, 8)
        return self.task_of(samples, input_scale, test_share, classes)

    def task_of(
        self,
        samples: Samples,
        input_scale: float | Floats,
        test_share: float = 0.2,
        classes: int | None = None,
        bits: int = 16,
    ) -> Task:
        """Return labelled samples as a task; see `task`.

        Args:
            samples: of this dataset, as a network takes them.
            input_scale: value of payload 1, one or one a column.
            test_share, classes: as in `task`.
            bits: of a payload; 0: binary.
        """
        y = None if samples.y is None else as_labels(samples.y, f"{self.name}: y", classes)
        if y is None:
            raise InputError(self.name, "has no labels y [B] to learn", "Give y, one class a sample")
        test = np.zeros(y.size, np.bool_)
        for label in np.unique(y):
            own = np.flatnonzero(y == label)
            test[own[own.size - max(1, round(test_share * own.size)) :]] = own.size > 1
        every = np.ones(samples.x.shape[1], np.bool_)
        train, held = (Split(samples.kept(at, input_scale, bits), y[at]) for at in (~test, test))
        unit = float(np.max(input_scale))
        return Task(self.name, classes or int(y.max()) + 1, unit, train, held, every, every, {"source": self.name})


def power_of_two_scale(x: Array, bits: int) -> float:
    """Return the least power of two s so that x / s, rounded, fits a signed word of `bits`."""
    top = float(np.abs(x).max(initial=0.0))
    return 2.0 ** math.ceil(math.log2(top / (2 ** (bits - 1) - 1))) if top else 1.0


def classes(y: Array | None) -> Sequence[int]:
    """Return the labels that occur, ascending."""
    return [] if y is None else [int(v) for v in np.unique(y)]


def as_dataset(data: Dataset | str | Path | object) -> Dataset:
    """Return a dataset itself, or the one that a file or object holds."""
    return data if isinstance(data, Dataset) else Dataset.open(data)
