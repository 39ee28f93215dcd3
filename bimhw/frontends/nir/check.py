"""`bimhw nir check`: run a graph on recorded inputs and count the values that differ from the recorded outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.frontends.nir.execute import run_graph, shape_input
from bimhw.frontends.nir.graph import FIRING, NirGraph, Node
from bimhw.frontends.nir.profile import Profile
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.sources import NAMES, choose, decays
from bimhw.tasks.dataset import Dataset, as_dataset
from simulator.base.errors import InputError
from simulator.base.files import read_npz

# Values that are not spikes are compared as float32 sources give them.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


@dataclass(frozen=True)
class CheckResult:
    """What `check` found.

    Attributes:
        differ, of: values of the recorded output that differ, and how many there are.
        max_abs_error: largest difference.
        steps, samples: of the data.
        exact: whether the values were compared exactly (spikes, counts) or within `RELATIVE` and `ABSOLUTE`.
        profile: how the graph was run.
        decays: node -> state -> (smallest, largest) factor kept from step to step.
        notes: what was repaired, assumed or chosen.
        hints: other readings of the file that fit the data better, where some do.
    """

    differ: int
    of: int
    max_abs_error: float
    steps: int
    samples: int
    exact: bool
    profile: Profile
    decays: Mapping[str, Mapping[str, tuple[float, float]]]
    notes: tuple[str, ...]
    hints: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        plain = {k: getattr(self, k) for k in ("differ", "of", "max_abs_error", "steps", "samples", "exact")}
        default = self.profile.default
        settings = {k: getattr(default, k) for k in ("dt", "integrator", "cmp", "reset", "v_init", "v_min")}
        return {
            **plain,
            "profile": {"name": self.profile.name, **settings, "output": self.profile.output},
            "decays": {n: {s: list(r) for s, r in d.items()} for n, d in self.decays.items()},
            "notes": list(self.notes),
            "hints": list(self.hints),
        }


def check(
    model: Path | str, data: Dataset | Path | str | object, profile: str | None = None, dt: float | None = None
) -> CheckResult:
    """Run the graph of `model` on `x` of `data` in the float engine and compare with `out`.

    Args:
        model: .nir file.
        data: .npz with x [T, B, ...] (or ``x.<input>`` for each of several inputs) and out [T, B, ...], or what
            `bimhw.Dataset.open` reads.
        profile: name or JSON file (`sources.choose`).
        dt: time step.

    Raises:
        InputError: files or shapes that do not fit; the message names node, array, value and rule.
    """
    graph = read_graph(model)
    chosen = choose(graph, profile, dt, Path(model).stem)
    inputs, wanted, found = _data(graph, data)
    differ, error, exact, size = _compare(graph, chosen, inputs, wanted)
    first = next(iter(inputs.values()))
    return CheckResult(
        differ,
        size,
        error,
        int(first.shape[0]),
        int(first.shape[1]),
        exact,
        chosen,
        decays(graph, chosen),
        (*graph.notes, *chosen.notes, *found),
        tuple(_hints(graph, chosen, inputs, wanted, differ)) if differ else (),
    )


def _compare(
    graph: NirGraph, profile: Profile, inputs: Mapping[str, npt.NDArray[np.float64]], wanted: npt.NDArray[np.float64]
) -> tuple[int, float, bool, int]:
    outputs = run_graph(graph, profile, inputs).outputs
    if len(outputs) != 1:
        raise InputError(
            graph.source, f"has {len(outputs)} outputs: {sorted(outputs)}", "Check a graph with one Output"
        )
    got = next(iter(outputs.values()))
    if got.size != wanted.size or wanted.shape[0] != got.shape[0]:
        raise InputError("data: out", f"has shape {wanted.shape}, but the graph gives {got.shape}")
    got = got.reshape(wanted.shape)
    error = np.abs(got - wanted)
    return count_differing(got, wanted), float(error.max(initial=0.0)), _is_whole(wanted), int(wanted.size)


def count_differing(got: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> int:
    """Return how many values differ: exactly where all wanted ones are whole, else beyond `ABSOLUTE` and `RELATIVE`."""
    wrong = got != wanted if _is_whole(wanted) else np.abs(got - wanted) > ABSOLUTE + RELATIVE * np.abs(wanted)
    return int(wrong.sum())


def _is_whole(values: npt.NDArray[np.float64]) -> bool:
    return bool((values == np.round(values)).all())


def _hints(
    graph: NirGraph,
    profile: Profile,
    inputs: Mapping[str, npt.NDArray[np.float64]],
    wanted: npt.NDArray[np.float64],
    differ: int,
) -> list[str]:
    """Return other readings under which fewer values differ, the best first (never used, only said)."""
    swapped = {name: x.swapaxes(0, 1) for name, x in inputs.items()}, wanted.swapaxes(0, 1)
    tried = [("steps and samples of x swapped (--data-option layout=bt)", partial(_compare, graph, profile, *swapped))]
    if graph.of_kind(*FIRING):
        tried += [(what, partial(_made, graph, make, inputs, wanted)) for what, make in _readings(graph, profile)]
    found: list[tuple[int, int, str]] = []
    for number, (what, compare) in enumerate(tried):
        try:
            count = compare()[0]
        except InputError:
            continue
        if count < differ:
            found.append((count, number, what))
    return [f"{count} would differ with {what}" for count, _, what in sorted(found)[:3]]


def _made(
    graph: NirGraph,
    make: Callable[[], Profile],
    inputs: Mapping[str, npt.NDArray[np.float64]],
    wanted: npt.NDArray[np.float64],
) -> tuple[int, float, bool, int]:
    return _compare(graph, make(), inputs, wanted)


def _readings(graph: NirGraph, profile: Profile) -> Iterator[tuple[str, Callable[[], Profile]]]:
    """Every named profile, then this one with one rule of all neurons changed."""
    for name in NAMES:
        yield f"--profile {name}", partial(choose, graph, name)
    changes: list[dict[str, Any]] = [
        {"reset": "subtract_next_step"},
        {"reset": "subtract_now"},
        {"reset": "zero_next_step_input_lost"},
        {"reset": "none"},
        {"cmp": ">="},
        {"cmp": ">=", "v_init": "v_reset"},
        {"cmp": "multi", "reset": "subtract_now"},
        {"cmp": "multi", "reset": "subtract_now", "integrator": "exp"},
        {"cmp": "multi", "reset": "subtract_now", "integrator": "exp_norm"},
    ]
    for change in changes:
        yield ", ".join(f"{k} {v}" for k, v in change.items()), partial(_changed, profile, change)


def _changed(profile: Profile, change: Mapping[str, Any]) -> Profile:
    nodes = {n: replace(s, **change) for n, s in profile.nodes.items()}
    output = "counts" if change.get("cmp") == "multi" else profile.output
    return replace(profile, default=replace(profile.default, **change), nodes=nodes, output=output)


def _data(
    graph: NirGraph, data: Dataset | Path | str | object
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64], tuple[str, ...]]:
    """Return inputs [T, B, *shape] by name, the recorded output [T, B, ...], and what was found by shape."""
    if isinstance(data, str | Path) and Path(data).suffix == ".npz":
        arrays = read_npz(Path(data))
        if _time_first(arrays):
            return pick_inputs(graph, arrays, str(data)), _wanted(arrays, str(data)), ()
    given = as_dataset(data)
    node = _only_input(graph, given.name)
    samples = given.samples(_width(graph))
    if samples.out is None:
        raise InputError(given.name, "has no recorded outputs 'out' to compare with", "Use bimhw simulate --data")
    x = samples.x.swapaxes(0, 1).astype(np.float64)
    return (
        {node.name: x.reshape(*x.shape[:2], *node.out_shape)},
        _wanted({"out": samples.out.swapaxes(0, 1)}, given.name),
        samples.notes,
    )


def _time_first(arrays: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Whether x is [T, B, ...], as far as labels and outputs tell."""
    x, y, out = (arrays.get(k) for k in ("x", "y", "out"))
    if x is None or y is None or out is None or y.ndim == 0 or x.ndim < 2 or out.ndim < 2:
        return True
    return bool(len(y) == x.shape[1] and x.shape[0] == out.shape[0])


def _width(graph: NirGraph) -> int:
    return sum(math.prod(n.out_shape) for n in graph.of_kind("Input"))


def _only_input(graph: NirGraph, where: str) -> Node:
    ends = graph.of_kind("Input")
    if len(ends) != 1:
        names = ", ".join(f"x.{n.name}" for n in ends)
        raise InputError(where, f"has one x, and the graph {len(ends)} inputs", f"Give an .npz with {names}")
    return ends[0]


def pick_inputs(graph: NirGraph, arrays: Mapping[str, npt.NDArray[Any]], where: str) -> dict[str, npt.NDArray[Any]]:
    """Values of every Input node from ``x`` or ``x.<name>``, as [T, B, *shape]."""
    ends = [n.name for n in graph.of_kind("Input")]
    out = {}
    for name in ends:
        keys = [k for k in (f"x.{name}", name, "x") if k in arrays and (k != "x" or len(ends) == 1)]
        if not keys:
            wanted = "'x'" if len(ends) == 1 else f"'x.{name}'"
            raise InputError(where, f"has no array {wanted}", f"It has: {sorted(arrays)}")
        out[name] = shape_input(graph, name, arrays[keys[0]])
    return out


def _wanted(arrays: Mapping[str, npt.NDArray[Any]], where: str) -> npt.NDArray[np.float64]:
    if "out" not in arrays:
        raise InputError(where, "has no array 'out'", f"It has: {sorted(arrays)}")
    wanted = arrays["out"]
    if wanted.dtype.kind not in "fiub" or not np.isfinite(wanted).all() or wanted.ndim == 0:
        raise InputError(f"{where}: out", "has values that are not finite numbers")
    return wanted.astype(np.float64)


check_nir = check  # its name in `bimhw`
