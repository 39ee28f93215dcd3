"""`bimhw nir check`: run a graph on recorded inputs and count the values that differ from the recorded outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.frontends.nir.execute import run_graph, shape_input
from bimhw.frontends.nir.graph import FIRING, NirGraph
from bimhw.frontends.nir.profile import Profile
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.sources import NAMES, choose, decays, settle
from bimhw.tasks.dataset import Dataset, as_dataset
from simulator.base.arrays import Array, Floats
from simulator.base.errors import InputError
from simulator.base.files import read_npz
from simulator.base.shown import Shown
from simulator.function.parts import Spread

Values = Mapping[str, Floats]  # by Input or Output node, [T, B, ...]
# Values that are not spikes are compared as float32 sources give them.
RELATIVE, ABSOLUTE = 1e-4, 1e-5
_PIECE = 64  # samples that run together, wherever they run: sums of floats are then the same
Comparison = Callable[[NirGraph, Profile, Values, Values], tuple[int, float, bool, int]]


@dataclass(frozen=True, repr=False)
class CheckResult(Shown):
    """Result of `check`.

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
        """Return a JSON-able form."""
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
    model: Path | str,
    data: Dataset | Path | str | object,
    profile: str | None = None,
    dt: float | None = None,
    spread: Spread | None = None,
) -> CheckResult:
    """Run the graph of `model` on `x` of `data` in the float engine and compare with `out`.

    Args:
        model: .nir file.
        data: .npz with x and out [T, B, ...], or ``x.NAME`` and ``out.NAME`` for each of several Input and Output nodes; or
            what `bimhw.Dataset.open` reads.
        profile: name or JSON file (`sources.choose`).
        dt: time step.
        spread: what calls a function on each tuple of arguments, for pieces of samples; one after another by default.

    Raises:
        InputError: files or shapes that do not fit; the message names node, array, value and rule.
    """
    graph = read_graph(model)
    chosen = choose(graph, profile, dt, Path(model).stem)
    inputs, wanted, found = _data(graph, data)
    compare = partial(_compare, spread or _in_turn)
    differ, error, exact, size = compare(graph, chosen, inputs, wanted)
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
        tuple(_hints(compare, graph, chosen, inputs, wanted, differ)) if differ else (),
    )


def _in_turn(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [function(*task) for task in tasks]


def _outputs(graph: NirGraph, profile: Profile, inputs: Values) -> Values:
    return run_graph(graph, profile, inputs).outputs


def _compare(
    spread: Spread, graph: NirGraph, profile: Profile, inputs: Values, wanted: Values
) -> tuple[int, float, bool, int]:
    samples = max(1, *(v.shape[1] for v in inputs.values()))
    pieces = [{n: v[:, at : at + _PIECE] for n, v in inputs.items()} for at in range(0, samples, _PIECE)]
    found = spread(_outputs, [(graph, profile, piece) for piece in pieces])
    outputs = {name: np.concatenate([part[name] for part in found], axis=1) for name in wanted}
    differ, largest = 0, 0.0
    for name, values in wanted.items():
        got = outputs[name]
        if got.size != values.size or values.shape[0] != got.shape[0]:
            raise InputError(f"data: out of {name!r}", f"has shape {values.shape}, but the graph gives {got.shape}")
        got = got.reshape(values.shape)
        differ += count_differing(got, values)
        largest = max(largest, float(np.abs(got - values).max(initial=0.0)))
    exact = all(_is_whole(v) for v in wanted.values())
    return differ, largest, exact, sum(v.size for v in wanted.values())


def count_differing(got: Floats, wanted: Floats) -> int:
    """Return how many values differ: exactly where all wanted ones are whole, else beyond `ABSOLUTE` and `RELATIVE`."""
    wrong = got != wanted if _is_whole(wanted) else np.abs(got - wanted) > ABSOLUTE + RELATIVE * np.abs(wanted)
    return int(wrong.sum())


def _is_whole(values: Floats) -> bool:
    return bool((values == np.round(values)).all())


def _hints(
    compare: Comparison,
    graph: NirGraph,
    profile: Profile,
    inputs: Values,
    wanted: Values,
    differ: int,
) -> list[str]:
    """Return other readings under which fewer values differ, the best first (never used, only said)."""
    swapped = tuple({name: v.swapaxes(0, 1) for name, v in values.items()} for values in (inputs, wanted))
    tried = [("steps and samples of x swapped (--data-option layout=bt)", partial(compare, graph, profile, *swapped))]
    if graph.of_kind(*FIRING):
        tried += [
            (what, partial(_made, compare, graph, make, inputs, wanted)) for what, make in _readings(graph, profile)
        ]
    found: list[tuple[int, int, str]] = []
    for number, (what, again) in enumerate(tried):
        try:
            count = again()[0]
        except InputError:
            continue
        if count < differ:
            found.append((count, number, what))
    return [f"{count} would differ with {what}" for count, _, what in sorted(found)[:3]]


def _made(
    compare: Comparison,
    graph: NirGraph,
    make: Callable[[], Profile],
    inputs: Values,
    wanted: Values,
) -> tuple[int, float, bool, int]:
    return compare(graph, settle(graph, make()), inputs, wanted)


def _readings(graph: NirGraph, profile: Profile) -> Iterator[tuple[str, Callable[[], Profile]]]:
    """Yield every named profile, then this one with one rule of all neurons changed."""
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


def _data(graph: NirGraph, data: Dataset | Path | str | object) -> tuple[Values, Values, tuple[str, ...]]:
    """Return inputs [T, B, *shape] and recorded outputs [T, B, ...] by node, and what was found by shape."""
    if isinstance(data, str | Path) and Path(data).suffix == ".npz":
        arrays = read_npz(Path(data))
        if _time_first(arrays):
            return pick_inputs(graph, arrays, str(data)), _wanted(graph, arrays, str(data)), ()
    given = as_dataset(data)
    ends = graph.of_kind("Input")
    samples = given.samples(_width(graph), names={n.name: math.prod(n.out_shape) for n in ends})
    recorded = {**samples.recorded, **({} if samples.out is None else {"": samples.out})}
    if not recorded:
        raise InputError(given.name, "has no recorded outputs 'out' to compare with", "Use bimhw simulate --data")
    x, at, inputs = samples.x.swapaxes(0, 1).astype(np.float64), 0, {}
    for node in ends:
        width = math.prod(node.out_shape)
        inputs[node.name] = x[..., at : at + width].reshape(*x.shape[:2], *node.out_shape)
        at += width
    named = {f"out.{n}" if n else "out": v.swapaxes(0, 1) for n, v in recorded.items()}
    return inputs, _wanted(graph, named, given.name), samples.notes


def _time_first(arrays: Mapping[str, Array]) -> bool:
    """Return whether x is [T, B, ...], as far as labels and outputs tell."""
    x, y, out = (
        next((v for k, v in arrays.items() if k == kind or k.startswith(f"{kind}.")), None)
        for kind in ("x", "y", "out")
    )
    if x is None or y is None or out is None or y.ndim == 0 or x.ndim < 2 or out.ndim < 2:
        return True
    return bool(len(y) == x.shape[1] and x.shape[0] == out.shape[0])


def _width(graph: NirGraph) -> int:
    return sum(math.prod(n.out_shape) for n in graph.of_kind("Input"))


def pick_inputs(graph: NirGraph, arrays: Mapping[str, Array], where: str) -> dict[str, Array]:
    """Return the values of every Input node from ``x`` or ``x.<name>``, as [T, B, *shape]."""
    ends = [n.name for n in graph.of_kind("Input")]
    out = {}
    for name in ends:
        keys = [k for k in (f"x.{name}", name, "x") if k in arrays and (k != "x" or len(ends) == 1)]
        if not keys:
            wanted = "'x'" if len(ends) == 1 else f"'x.{name}'"
            raise InputError(where, f"has no array {wanted}", f"It has: {sorted(arrays)}")
        out[name] = shape_input(graph, name, arrays[keys[0]])
    return out


def _wanted(graph: NirGraph, arrays: Mapping[str, Array], where: str) -> Values:
    """Return the recorded values of every Output node that the data names; ``out`` is that of an only one."""
    ends = [n.name for n in graph.of_kind("Output")]
    found = {}
    for key in (k for k in arrays if k == "out" or k.startswith("out.")):
        name = ends[0] if key == "out" and len(ends) == 1 else key.removeprefix("out.")
        if key == "out" and len(ends) != 1:
            raise InputError(graph.source, f"has {len(ends)} outputs: {sorted(ends)}", "Record out.NAME for each")
        if name not in ends:
            raise InputError(f"{where}: {key}", "names no output of the graph", f"Outputs: {', '.join(ends)}")
        values = arrays[key]
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all() or values.ndim == 0:
            raise InputError(f"{where}: {key}", "has values that are not finite numbers")
        found[name] = values.astype(np.float64)
    if not found:
        raise InputError(where, "has no recorded outputs 'out' to compare with", "Use bimhw simulate --data")
    return found
