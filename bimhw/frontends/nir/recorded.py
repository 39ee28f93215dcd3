"""Choose the reading of a .nir file by recorded data: NIR does not store how its framework resets or steps.

Recorded outputs that one reading gives exactly choose it. Labels alone choose nothing; they only tell which reading is right
more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bimhw.frontends.nir.check import count_differing
from bimhw.frontends.nir.execute import run_graph
from bimhw.frontends.nir.graph import FIRING, NirGraph
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.sources import NAMES, choose
from bimhw.tasks.dataset import Dataset
from simulator.base.arrays import AnyInts, Floats
from simulator.base.errors import InputError

MOST_SAMPLES = 32  # that are run for each reading
WORTH = 0.05  # share of samples that a reading must be right on beyond the file's own, to be named
Labels = AnyInts


@dataclass(frozen=True)
class Reading:
    """A reading that recorded outputs speak for.

    Attributes:
        profile: its name; None where the file's own reading gives the fewest differences, or nothing is known.
        note: what was found, or "".
    """

    profile: str | None = None
    note: str = ""


def recorded_reading(model: Path | str, data: Dataset, dt: float | None = None) -> Reading:
    """Return the named profile under which the recorded outputs of `data` come out without a difference.

    The file's own reading is kept where it is exact, or where no named one is. Labels are used with one Output only.

    Args:
        model: .nir file.
        data: samples with recorded outputs (`out`).
        dt: time step, as for `choose`.
    """
    graph = read_graph(model)
    ends, exits = graph.of_kind("Input"), graph.of_kind("Output")
    if not graph.of_kind(*FIRING):
        return Reading()
    widths = {n.name: int(np.prod(n.out_shape)) for n in ends}
    samples = data.samples(sum(widths.values()), names=widths)
    x, at, inputs = samples.x[:MOST_SAMPLES].swapaxes(0, 1).astype(np.float64), 0, {}
    for node in ends:
        part = x[..., at : at + widths[node.name]]
        inputs[node.name] = part.reshape(*x.shape[:2], *node.out_shape)
        at += widths[node.name]
    trial = _Trial(graph, dt, Path(model).stem, inputs)
    known = {n.name for n in exits} & set(samples.recorded)
    wanted = {n: samples.recorded[n] for n in sorted(known)}
    if samples.out is not None and len(exits) == 1:
        wanted = {exits[0].name: samples.out}
    if wanted:
        return _by_outputs(trial, {n: v[:MOST_SAMPLES].swapaxes(0, 1).astype(np.float64) for n, v in wanted.items()})
    y = samples.y if len(exits) == 1 else None
    return _by_labels(trial, y[:MOST_SAMPLES]) if y is not None and y.ndim == 1 and y.dtype.kind in "iu" else Reading()


@dataclass(frozen=True)
class _Trial:
    """A graph and inputs that it is run on under several readings."""

    graph: NirGraph
    dt: float | None
    stem: str
    inputs: dict[str, Floats]

    def outputs(self, name: str | None) -> dict[str, Floats] | None:
        """Return each output [T, B, n] under a reading; None where the graph cannot be run so."""
        try:
            run = run_graph(self.graph, choose(self.graph, name, self.dt, self.stem), self.inputs)
        except InputError:
            return None
        return {n: v.reshape(*v.shape[:2], -1) for n, v in run.outputs.items()}

    def differ(self, name: str | None, wanted: dict[str, Floats]) -> int | None:
        """Return how many values differ under a reading."""
        got = self.outputs(name)
        if got is None or any(got[n].shape != v.shape for n, v in wanted.items()):
            return None
        return sum(count_differing(got[n], v) for n, v in wanted.items())

    def hits(self, name: str | None, y: Labels) -> int:
        """Return how many samples the largest sum over the steps puts into their class."""
        got = self.outputs(name)
        return 0 if got is None else int((next(iter(got.values())).sum(axis=0).argmax(axis=1) == y).sum())


def _by_outputs(trial: _Trial, wanted: dict[str, Floats]) -> Reading:
    own, size = trial.differ(None, wanted), sum(v.size for v in wanted.values())
    if own == 0:
        return Reading()
    found = {name: differ for name in NAMES if (differ := trial.differ(name, wanted)) is not None}
    exact = next((name for name, differ in found.items() if differ == 0), None)
    if exact is None:
        return Reading(None, _nearest(found, own, size))
    before = "" if own is None else f"; {own:,} of {size:,} values differ under the file's own reading"
    return Reading(exact, f"profile {exact}: it gives the recorded outputs exactly{before}")


def _by_labels(trial: _Trial, y: Labels) -> Reading:
    own, found = trial.hits(None, y), {name: trial.hits(name, y) for name in NAMES}
    name = max(found, key=lambda n: found[n])
    if found[name] - own < WORTH * len(y):
        return Reading()
    return Reading(
        None, f"labels: {own} of {len(y)} samples are right as the file is read, {found[name]} with --profile {name}"
    )


def _nearest(found: dict[str, int], own: int | None, size: int) -> str:
    """Return what to say where no reading is exact; "" where the file's own one is the nearest."""
    if not found:
        return ""
    name = min(found, key=lambda n: found[n])
    if own is not None and own <= found[name]:
        return ""
    return (
        f"recorded outputs: {found[name]:,} of {size:,} values differ with --profile {name}, fewer than as it is read"
    )
