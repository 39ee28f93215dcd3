"""NIR graph -> float `Network`: neurons become populations, everything between them becomes synapses.

Chip time: a spike of step t arrives at t + 1 + delay. A neuron of layer l does at t + l what the graph does at t, so a
path of d steps from layer a to layer b gets the delay d + b - a - 1, and b is the least layer for which no delay is
negative. A loop over several layers that has fewer steps than layers cannot be kept and is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.frontends.nir.dynamics import spread
from bimhw.frontends.nir.fold import Algebra, Form, Key, Part, fold
from bimhw.frontends.nir.graph import NEURONS, NirGraph, Node
from bimhw.frontends.nir.patterns import PATTERNS, PatternPart, unrolled_synapses
from bimhw.frontends.nir.profile import Profile, Settings
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.sources import choose, factors
from bimhw.frontends.nir.windows import WINDOWS, WindowPart, as_part, shared_projection
from mapping.network import Network
from mapping.patterned import PatternProjection
from simulator.base.arrays import Floats
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.neurons import leaky
from simulator.program.graph import Population, Projection

_RESETS = {
    "to_v_reset_now": leaky.HARD,
    "subtract_now": leaky.SOFT,
    "subtract_next_step": leaky.SOFT_NEXT,
    "zero_next_step_input_lost": leaky.LOST,
    "to_v_reset_next_step": leaky.HARD_NEXT,
    "none": leaky.NONE,
    "subtract_now_lowered": leaky.SOFT_LOWERED,
}
_COMPARES = {">": leaky.ABOVE, ">=": leaky.REACHED, "multi": leaky.MULTI}
READOUT = "readout"
OUTLINE_FROM = 2_000_000  # synapses of one node, from which `fit` counts instead of unrolling
NeuronForm = tuple[str, dict[str, Floats], Floats]  # model, its parameters, gain of each neuron's inputs [size]
FormOf = Callable[[Node, Floats], NeuronForm]


def read_network(path: Path | str, profile: str | None = None, dt: float | None = None) -> Network:
    """Return the float network of a .nir file.

    Args:
        path: the file.
        profile: how to run it: a name or a JSON file (`sources.choose`).
        dt: time step.

    Raises:
        InputError: a bad file or profile.
        FitError: a node that has no form on a chip, by its name.
    """
    graph = read_graph(path)
    return lower(graph, choose(graph, profile, dt, Path(path).stem))


def read_outline(path: Path | str, profile: str | None = None, dt: float | None = None) -> Network | None:
    """Return the network of a .nir file with its convolutions counted, not unrolled, where that saves much, else None.

    Arguments and errors as in `read_network`.
    """
    graph = read_graph(path)
    return outline(graph, choose(graph, profile, dt, Path(path).stem))


def outline(graph: NirGraph, profile: Profile, given: Mapping[str, FormOf] | None = None) -> Network | None:
    """Return the network with its convolutions counted, not unrolled, from `OUTLINE_FROM` synapses on, else None."""
    return lower(graph, profile, given, PATTERNS) if unrolled_synapses(graph) >= OUTLINE_FROM else None


def lower(
    graph: NirGraph, profile: Profile, given: Mapping[str, FormOf] | None = None, algebra: Algebra | None = None
) -> Network:
    """Return the float network of a graph under a settled profile; errors as in `read_network`.

    Args:
        graph: checked graph.
        profile: settled on it.
        given: neuron -> function from its node and the constant that arrives to its form, in place of NIR's equations.
        algebra: how paths are held: `windows.WINDOWS` shares rows, `patterns.PATTERNS` only counts. By default matrices, or
            windows from `OUTLINE_FROM` synapses of a node on.
    """
    if algebra is None and unrolled_synapses(graph) >= OUTLINE_FROM:
        algebra = WINDOWS
    forms = fold(graph, profile, algebra)
    readers = _readouts(graph, forms)
    nodes = graph.of_kind("Input", *NEURONS, "Threshold")
    arriving = {n.name: forms[n.name] for n in nodes if n.kind != "Input"} | readers
    layers = _layers(graph, [n.name for n in nodes], arriving)
    shown = _shown(graph, forms)
    outputs = list(dict.fromkeys(shown.values()))
    populations, projections = [], []
    for name in sorted(layers, key=lambda n: layers[n]):
        node = graph.nodes.get(name) if name not in readers else None
        form = arriving.get(name)
        if node is not None and node.kind == "Input":
            size = math.prod(node.out_shape)
            populations.append(Population(name, INPUT_MODEL, size, role="input", shape=node.out_shape))
            continue
        assert form is not None
        own = (given or {}).get(name)
        model, params, gain = own(node, form.bias) if own and node else _neuron(node, profile, form)
        params = {**params, "wait": np.asarray(float(layers[name]))}
        shape = node.in_shape if node is not None else (form.size,)
        role: Any = "output" if name in outputs else "hidden"
        populations.append(Population(name, model, form.size, params, layer=layers[name], role=role, shape=shape))
        projections += [_projection(key, part, name, gain, layers) for key, part in form.parts.items()]
    return Network("float", tuple(populations), tuple(_named(projections)), _meta(graph, profile, shown))


def _named(projections: list[Projection]) -> Iterator[Projection]:
    """Yield projections with a name each: a.b.c is the path from c to a.b, and from b.c to a."""
    taken: set[str] = set()
    for q in projections:
        name, n = q.name, 2
        while name in taken:
            name, n = f"{q.name}.again{n}", n + 1
        taken.add(name)
        yield q if name == q.name else replace(q, name=name)


def _readouts(graph: NirGraph, forms: Mapping[str, Form]) -> dict[str, Form]:
    """Find the outputs that show more than one neuron's own values: readout neurons hold their sum for a step."""
    shown = _shown(graph, forms)
    return {shown[name]: forms[name] for name in shown if not _plain(graph, forms[name])}


def _plain(graph: NirGraph, form: Form) -> bool:
    """Return whether an Output shows exactly the values of one neuron."""
    if len(form.parts) != 1 or form.bias.any():
        return False
    ((source, delay), part) = next(iter(form.parts.items()))
    return part.identity and delay == 0 and graph.nodes[source].kind != "Input"


def _shown(graph: NirGraph, forms: Mapping[str, Form]) -> dict[str, str]:
    """Output node -> the neurons that it shows, those of one layer before the readouts."""
    names = [n.name for n in graph.of_kind("Output")]
    plain = {n: next(iter(forms[n].parts))[0] for n in names if _plain(graph, forms[n])}
    return plain | {n: f"{READOUT}.{n}" for n in names if n not in plain}


def _layers(graph: NirGraph, names: list[str], arriving: Mapping[str, Form]) -> dict[str, int]:
    """Return the least layers with layer(target) >= layer(source) + 1 - delay for every path; inputs are layer 0."""
    layers = {n: int(n not in graph.nodes or graph.nodes[n].kind != "Input") for n in [*names, *arriving]}
    paths = [(source, target, delay) for target, form in arriving.items() for source, delay in form.parts]
    raised_by: dict[str, str] = {}
    for _ in range(len(layers) + 1):
        moved = [(s, t, d) for s, t, d in paths if layers[s] + 1 - d > layers[t]]
        for s, t, d in moved:
            layers[t], raised_by[t] = max(layers[t], layers[s] + 1 - d), s
        if not moved:
            return layers
    raise FitError(
        f"{graph.source}: nodes {', '.join(_loop(moved[0][1], raised_by))}",
        "are on a loop over several layers that takes fewer steps than it has layers; on a chip each layer takes one",
        "Put a Delay on the edge that closes the loop",
    )


def _loop(start: str, raised_by: Mapping[str, str]) -> list[str]:
    """Return the nodes of the loop that raises `start` for ever."""
    for _ in raised_by:
        start = raised_by[start]
    loop = [start]
    while raised_by[loop[-1]] != start:
        loop.append(raised_by[loop[-1]])
    return sorted(loop)


def _projection(key: Key, part: Part, target: str, gain: Floats, layers: Mapping[str, int]) -> Projection:
    from scipy import sparse

    source, steps = key
    if isinstance(part, PatternPart):
        return _pattern(key, part, target, gain, layers)
    if isinstance(part, WindowPart):
        if part.n_paths >= OUTLINE_FROM and bool((gain == gain[0]).all()):
            delay = steps + layers[target] - layers[source] - 1
            name = f"{target}.{source}" + (f".d{steps}" if steps else "")
            return replace(shared_projection(part, name, source, target, gain), delay=delay)
        part = as_part(part)
    matrix = part.without_residues()
    by_source = sparse.csr_array((matrix * gain[:, None] if (gain != 1).any() else matrix).T)
    by_source.sum_duplicates()
    by_source.eliminate_zeros()
    by_source.sort_indices()
    full = by_source.nnz == by_source.shape[0] * by_source.shape[1]
    conv = part.kernel is not None and bool((gain == gain[0]).all())
    return Projection(
        f"{target}.{source}" + (f".d{steps}" if steps else ""),
        source,
        target,
        "in",
        by_source.indptr.astype(np.int64),
        by_source.indices.astype(np.int32),
        by_source.data.astype(np.float64),
        delay=steps + layers[target] - layers[source] - 1,
        layout="conv" if conv else "dense" if full else "sparse",
        shared_words=part.kernel.words if conv and part.kernel is not None else 0,
    )


def _pattern(key: Key, part: PatternPart, target: str, gain: Floats, layers: Mapping[str, int]) -> PatternProjection:
    """Return the projection of a path that is known by its pattern."""
    source, steps = key
    assert part.pattern is not None
    shared = part.kernel if bool((gain == gain[0]).all()) else None
    n_source, channels = math.prod(part.pattern.in_shape), part.pattern.out_shape[0]
    return PatternProjection(
        f"{target}.{source}" + (f".d{steps}" if steps else ""),
        source,
        target,
        "in",
        np.zeros(n_source + 1, np.int64),
        np.empty(0, np.int32),
        np.empty(0),
        delay=steps + layers[target] - layers[source] - 1,
        layout="conv" if shared else "sparse",
        shared_words=shared.words if shared else 0,
        pattern=part.pattern,
        peak=part.peak * float(np.abs(gain).max()),
        channel_words=shared.words // channels if shared and shared.channels % channels == 0 else 0,
    )


def _neuron(node: Node | None, profile: Profile, form: Form) -> NeuronForm:
    """Return model, parameters and input gain [size] of a population; None is a readout that holds its input for a step."""
    size, one = form.size, np.ones(form.size)
    if node is None:
        return leaky_form("leaky_graded", 0 * one, one, form.bias, fires=0.0)
    settings = profile.of(node.name)
    if node.kind == "Threshold":
        theta = spread(node.fields["threshold"], node.in_shape).reshape(-1)
        return leaky_form("leaky", 0 * one, one, form.bias, theta=theta)
    p = {k: spread(v, node.in_shape).reshape(size) for k, v in node.fields.items()}
    keep, gain, rest = _membrane(node, settings, p)
    fires = "v_threshold" in p
    more: dict[str, Any] = {
        "theta": p.get("v_threshold", one),
        "v_reset": p.get("v_reset", 0 * one),
        "v_init": 0 * one if settings.v_init == "zero" else p.get(settings.v_init, 0 * one),
        "v_min": -np.inf if settings.v_min is None else settings.v_min,
        "cmp": _COMPARES[settings.cmp],
        "reset": _RESETS[settings.reset] if fires else 0,
        "fires": float(fires),
    }
    if not fires:
        more["cmp"] = 0
    graded = not fires or settings.cmp == "multi"
    if node.kind not in ("CubaLI", "CubaLIF"):
        return leaky_form("leaky_graded" if graded else "leaky", keep, gain, form.bias * gain + rest, **more)
    keep_u, into = _current(node, settings, p)
    model = "leaky_cuba_graded" if graded else "leaky_cuba"
    model, params, gain = leaky_form(model, keep, gain * into, rest, **more)
    return model, params | {"keep_u": keep_u, "bias_u": form.bias * gain}, gain


def leaky_form(model: str, keep: Floats, gain: Floats, bias: Floats, **more: Any) -> NeuronForm:
    """Return a form of the models of `simulator.neurons.leaky`, with the parameters that are not given at their defaults."""
    plain = {"theta": 1.0, "v_reset": 0.0, "v_init": 0.0, "v_min": -np.inf, "cmp": 0, "reset": 0, "fires": 1.0}
    params = {"keep": keep, "bias": bias, "sh_out": 0.0} | plain | more
    return model, {k: np.asarray(v, np.float64) for k, v in params.items()}, gain


def _flat_factors(node: Node, settings: Settings) -> dict[str, Floats]:
    """Return per-step factors [size] by name."""
    return {k: spread(v, node.in_shape).reshape(-1) for k, v in factors(node, settings).items()}


def _membrane(node: Node, settings: Settings, p: Mapping[str, Floats]) -> tuple[Floats, Floats, Floats]:
    """Return (keep, gain, constant) of v = keep v + gain x + constant, x the current of a Cuba neuron."""
    if node.kind in ("I", "IF"):
        return np.ones_like(p["r"]), (settings.dt or 1.0) * p["r"], 0 * p["r"]
    flat = _flat_factors(node, settings)
    factor = next(v for k, v in flat.items() if "tau_syn" not in k)
    if "dt/tau" in flat or "dt/tau_mem" in flat:
        if settings.integrator == "unit":
            return 1 - factor, np.ones_like(factor), factor * p["v_leak"]
        r = np.ones_like(p["r"]) if settings.integrator == "norse_jump" and "w_in" in p else p["r"]
        return 1 - factor, _times(factor, r), factor * p["v_leak"]
    rest = (1 - factor) * p["v_leak"]
    unit = np.ones_like(factor)
    entering = factor if node.kind == "LI" else unit
    gain = {"exp": unit, "exp_in": entering, "exp_norm": 1 - factor, "exact": _times(1 - factor, p["r"])}[
        settings.integrator
    ]
    return factor, gain, rest


def _times(factor: Floats, gain: Floats) -> Floats:
    """Return factor gain; 1 for the infinite gain tau / dt of an infinite time constant tau, whose factor is dt / tau."""
    unbounded = np.isinf(gain)
    return np.where(unbounded, 1.0, factor * np.where(unbounded, 0.0, gain))


def _current(node: Node, settings: Settings, p: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return (keep, gain) of i = keep i + gain x."""
    if settings.integrator == "exact":
        raise FitError(
            node.where, "under 'exact' moves its membrane by two exponentials, which no neuron here has", "Use euler"
        )
    factor = next(v for k, v in _flat_factors(node, settings).items() if "tau_syn" in k)
    if settings.integrator in ("norse_jump", "unit"):
        return 1 - factor, np.ones_like(factor)
    if settings.integrator == "exp_in":
        return factor, factor
    if settings.integrator == "euler":
        return 1 - factor, _times(factor, p["w_in"])
    return factor, np.ones_like(factor) if settings.integrator == "exp" else 1 - factor


def _meta(graph: NirGraph, profile: Profile, shown: Mapping[str, str]) -> dict[str, Any]:
    notes = [*graph.notes, *profile.notes]
    if any(profile.of(n.name).integrator == "exact" for n in graph.of_kind("IF", "LIF")):
        notes.append("integrator exact: on a chip a neuron resets at the step's end, not within the step")
    meta: dict[str, Any] = {"kind": "nir", "notes": notes, "profile": profile.name}
    inputs = graph.of_kind("Input")
    if inputs:
        meta["input"] = {"population": inputs[0].name, "scale": 1.0}
    outputs = list(dict.fromkeys(shown.values()))
    silent = {o for o in outputs if o not in graph.nodes or graph.nodes[o].kind in ("I", "LI", "CubaLI")}
    held = set(outputs) if profile.output == "membrane" else silent
    meta["outputs"] = outputs
    meta["exits"] = [
        {"name": name, "population": o} | ({"state": "v"} if o in held else {}) for name, o in shown.items()
    ]
    if len(outputs) == 1 and held:
        meta["output"] = {"population": outputs[0], "state": "v"}
    return meta
