"""Write NIR where that is exact; everything NIR cannot say is refused by the node's name.

NIR's Euler reading with r = tau / dt (and w_in = tau_syn / dt) is v = keep v + x with keep = 1 - dt/tau, so a neuron goes
out as tau = dt / (1 - keep). Paths of d steps between the layers of a chip become a Delay of d dt.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.frontends.nir.graph import Edge, NirGraph, Node
from bimhw.frontends.nir.read import build_graph, read_graph
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.errors import FitError, MissingExtraError
from simulator.base.files import replacing
from simulator.base.names import INPUT_MODEL
from simulator.neurons import leaky
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection, csr_to_dense

Fields = dict[str, Any]
DEFAULT_DT = 1e-4  # s; what most readers of NIR assume
_NOT_IN_NIR = {
    "bim_d": "its decay depends on its input (selective), which no NIR neuron does",
    "readout_li": "it filters its input by (1 - k), which no NIR neuron does",
}


def export_nir(model: Any, path: Path | str, dt: float = DEFAULT_DT, **reading: Any) -> NirGraph:
    """Write a model as .nir and return the graph that was written.

    Args:
        model: a torch stack, a float `Network`, or a model file.
        path: of the .nir file.
        dt: time step that tau, r and delays are written for (s).
        reading: of `bimhw.load_network` (``profile``, ``input_shape`` ...).

    Raises:
        FitError: a node that NIR cannot say, by its name.
        MissingExtraError: the package nir is not installed.
    """
    graph = model_graph(model, dt, **reading)
    write_graph(graph, path)
    return graph


def model_graph(model: Any, dt: float = DEFAULT_DT, **reading: Any) -> NirGraph:
    """Return the NIR graph of a model; arguments and errors as in `export_nir`."""
    if isinstance(model, str | Path) and Path(model).suffix == ".nir":
        return read_graph(model)
    if hasattr(model, "named_children") and not hasattr(model, "config"):
        from bimhw.frontends.stack import module_graph

        graph, forms = module_graph(model, **reading)
        return _with_neurons(graph, forms, dt)
    from bimhw.frontends import load_network

    return network_graph(load_network(model, **reading), dt)


def _with_neurons(graph: NirGraph, forms: Mapping[str, Callable[[Node, Floats], Any]], dt: float) -> NirGraph:
    """Return the graph of a torch stack with its neurons in NIR's terms; what waits a step gets its Delay."""
    nodes: dict[str, tuple[str, Fields]] = {}
    edges = list(graph.edges)
    for name, node in graph.nodes.items():
        nodes[name] = (node.kind, dict(node.fields))
        if name in forms:
            model, params, _ = forms[name](node, np.zeros(int(np.prod(node.in_shape))))
            nodes[name] = neuron_node(name, model, params, node.in_shape, dt)
        if name in forms and (name, f"{name}.weight") in edges:
            nodes[f"{name}.back"] = ("Delay", {"delay": np.full(node.out_shape, dt)})
            edges.remove((name, f"{name}.weight"))
            edges += [(name, f"{name}.back"), (f"{name}.back", f"{name}.weight")]
    return build_graph(nodes, edges, graph.source)


def network_graph(network: Network, dt: float = DEFAULT_DT) -> NirGraph:
    """Return the NIR graph of a float network; its synapses are written as Linear or Affine.

    Raises:
        FitError: by name: a neuron or a learning rule that NIR does not have.
    """
    nodes: dict[str, tuple[str, Fields]] = {}
    edges: list[Edge] = []
    populations = {p.name: p for p in network.populations}
    for p in network.populations:
        if p.model == INPUT_MODEL:
            nodes[p.name] = ("Input", {"shape": np.array(p.shape or (p.size,))})
        else:
            nodes[p.name] = neuron_node(p.name, p.model, p.params, (p.size,), dt)
        if p.role == "output":
            nodes[f"{p.name}.out"] = ("Output", {"shape": np.array([p.size])})
            edges.append((p.name, f"{p.name}.out"))
    for p in network.populations:
        for k, q in enumerate(q for q in network.projections if q.target == p.name):
            bias = _bias(p) if k == 0 else np.zeros(p.size)
            _add_projection(nodes, edges, q, populations, bias, dt)
    return build_graph(nodes, edges, "network")


def _bias(p: Population) -> Floats:
    return np.broadcast_to(np.asarray(p.params["bias_u" if "bias_u" in p.params else "bias"], np.float64), (p.size,))


def _add_projection(
    nodes: dict[str, tuple[str, Fields]],
    edges: list[Edge],
    q: Projection,
    populations: Mapping[str, Population],
    bias: Floats,
    dt: float,
) -> None:
    where = f"projection {q.name!r}"
    if q.plastic:
        raise FitError(where, f"learns by the rule {q.plastic!r}, which NIR cannot say", "Export the frozen network")
    source, target = populations[q.source], populations[q.target]
    steps = q.delay + source.layer + 1 - target.layer
    if steps < 0:
        raise FitError(where, f"arrives {-steps} steps before it is sent in same-step time", "Correct the layers")
    last = q.source
    if len(source.shape) > 1 and source.model == INPUT_MODEL:
        nodes[f"{q.name}.flat"] = ("Flatten", {"input_type": np.array(source.shape), "start_dim": 0, "end_dim": -1})
        edges.append((last, f"{q.name}.flat"))
        last = f"{q.name}.flat"
    if steps:
        nodes[f"{q.name}.delay"] = ("Delay", {"delay": np.full(source.size, steps * dt)})
        edges.append((last, f"{q.name}.delay"))
        last = f"{q.name}.delay"
    weight = csr_to_dense(q, target.size)
    kind, fields = ("Affine", {"weight": weight, "bias": bias.copy()}) if bias.any() else ("Linear", {"weight": weight})
    nodes[q.name] = (kind, fields)
    edges += [(last, q.name), (q.name, q.target)]


def neuron_node(
    name: str, model: str, params: Mapping[str, Any], shape: tuple[int, ...], dt: float
) -> tuple[str, Fields]:
    """Return the NIR neuron of a `leaky` population (its constant input goes into the Affine before it).

    Raises:
        FitError: what NIR cannot say of it.
    """
    where = f"node {name!r} ({model})"
    family = get(model).family
    if family in _NOT_IN_NIR:
        raise FitError(where, f"has no NIR form: {_NOT_IN_NIR[family]}", "Keep it as .safetensors")
    if family != "leaky":
        raise FitError(where, "has no NIR form", "NIR has IF, LIF, LI, CubaLIF and CubaLI")
    p = {k: np.broadcast_to(np.asarray(v, np.float64).reshape(-1), (int(np.prod(shape)),)).reshape(shape)
         for k, v in params.items()}  # fmt: skip
    fires = bool(np.any(p["fires"]))
    _check_sayable(where, p, fires)
    cuba = "keep_u" in p
    fire = {"v_threshold": p["theta"], "v_reset": p["v_reset"]} if fires else {}
    if (p["keep"] == 1).all() and not cuba:
        return ("IF" if fires else "I"), {"r": np.full(shape, 1 / dt), **fire}
    if (p["keep"] == 1).any() or (cuba and (p["keep_u"] == 1).any()):
        raise FitError(where, "keeps a state for ever (keep = 1) beside others that decay, which no tau says")
    tau = dt / (1 - p["keep"])
    leak = {"r": tau / dt, "v_leak": np.zeros(shape)}
    if not cuba:
        return ("LIF" if fires else "LI"), {"tau": tau, **leak, **fire}
    leak["v_leak"] = p["bias"] * tau / dt
    tau_syn = dt / (1 - p["keep_u"])
    return ("CubaLIF" if fires else "CubaLI"), {
        "tau_mem": tau,
        "tau_syn": tau_syn,
        "w_in": tau_syn / dt,
        **leak,
        **fire,
    }


def _check_sayable(where: str, p: Mapping[str, Floats], fires: bool) -> None:
    if np.isfinite(p["v_min"]).any():
        raise FitError(where, "bounds its membrane from below, which NIR cannot say", "Leave v_min out")
    if p["v_init"].any():
        raise FitError(where, "starts at another membrane than 0, which NIR cannot say", "Start at 0")
    if not fires:
        return
    if (p["reset"] != leaky.HARD).any():
        raise FitError(where, "does not reset to a value at the spike, the only reset that NIR has", "Use a hard reset")
    if (p["cmp"] != leaky.ABOVE).any():
        raise FitError(where, "fires at its threshold or several times a step; NIR fires once, above it", "Use cmp '>'")


def write_graph(graph: NirGraph, path: Path | str) -> None:
    """Write a graph with the package nir, whole or not at all.

    The file is made in memory: the HDF5 library crashes where it cannot write.

    Raises:
        MissingExtraError: the package nir is not installed.
    """
    try:
        import nir
    except ImportError as error:
        raise MissingExtraError("nir", "nir", "writing .nir files") from error
    nodes = {name: _nir_node(nir, node) for name, node in graph.nodes.items()}
    # nir's own type inference takes a kernel's height for its width, so the check is ours (`shapes.infer`)
    written = nir.NIRGraph(nodes=nodes, edges=list(graph.edges), type_check=False)
    content = io.BytesIO()
    nir.write(content, written)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content.getvalue())


def _nir_node(nir: Any, node: Node) -> Any:
    f = dict(node.fields)
    if node.kind == "Input":
        return nir.Input(np.array(node.out_shape))
    if node.kind == "Output":
        return nir.Output(np.array(node.in_shape))
    if node.kind == "Junction":
        return nir.Scale(np.ones(node.in_shape))
    if node.kind in ("Conv1d", "Conv2d"):
        size = node.in_shape[1:]
        f["input_shape"] = size[0] if node.kind == "Conv1d" else tuple(size)
        f["groups"] = f["groups"][0]
        for key in ("stride", "dilation", "padding"):
            f[key] = f[key] if isinstance(f[key], str) else _one_or_pair(f[key], len(size))
    elif node.kind in ("SumPool2d", "AvgPool2d"):
        f = {k: np.array(_one_or_pair(v, 2)) for k, v in f.items()}
    elif node.kind == "Flatten":
        shape = f.pop("shape")
        if shape:
            raise FitError(node.where, f"reshapes to {list(shape)}, and NIR only flattens", "Use the module itself")
        f["input_type"] = {"input": np.array(node.in_shape)}
    elif node.kind not in ("Linear", "Affine"):
        f = {k: np.broadcast_to(v, node.in_shape).copy() if v.size == 1 else v for k, v in f.items()}
    return getattr(nir, node.kind)(**f)


def _one_or_pair(value: tuple[int, ...], directions: int) -> Any:
    return int(value[0]) if directions == 1 else (int(value[0]), int(value[-1]))
