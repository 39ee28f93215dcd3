"""A Brian2 Network written by a user -> float network; the subset is in docs/frontends.md.

Time: a spike of Brian2's step t with a delay of d steps is met by the update of step t + d + 1. Neurons are layer 1 here,
so that Brian2's step t is chip step t + 1: projections between neurons have the delay d, those from the input d + 1.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from bimhw.frontends.brian2.dynamics import Dynamics, dynamics_of, evaluate, statement
from mapping.network import Network
from simulator.base.arrays import I32
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.program.graph import Population, Projection

_IGNORED = {"StateMonitor", "SpikeMonitor", "PopulationRateMonitor", "EventMonitor"}
_SLOTS = {"StateUpdater": "groups", "Thresholder": "thresholds", "Resetter": "resets", "SynapticPathway": "synapses"}
_SLOTS |= {"SpikeGeneratorGroup": "thresholds"}


def is_brian2(model: Any) -> bool:
    """Return whether an object is a Brian2 Network; does not import Brian2."""
    return any(c.__module__ == "brian2.core.network" and c.__name__ == "Network" for c in type(model).__mro__)


def from_brian2(net: Any, namespace: Mapping[str, Any] | None = None) -> Network:
    """Return the float network of a Brian2 Network that has not run yet.

    Args:
        net: SpikeGeneratorGroups, NeuronGroups and Synapses of the subset; monitors are ignored.
        namespace: names that equations use; by default the caller's, as Brian2's ``run`` does.

    Raises:
        InputError: what the subset does not hold, with the object's name and the way out.
    """
    names = _callers_names() if namespace is None else namespace
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brian2's parser warns of its own deprecations
        kinds = _objects(net)
        groups = {g.name: dynamics_of(g, names) for g in kinds["NeuronGroup"]}
        synapses = [q for s in kinds["Synapses"] for q in _projections(s, kinds, groups, names)]
    sources = {q.source for q in synapses if q.source != q.target}
    outputs = [n for n in groups if n not in sources] or list(groups)
    entry = _input_name(kinds)
    populations = [Population(entry, INPUT_MODEL, sum(len(g) for g in kinds["SpikeGeneratorGroup"]), role="input")]
    for g in kinds["NeuronGroup"]:
        made = groups[g.name]
        role: Any = "output" if g.name in outputs else "hidden"
        populations.append(Population(g.name, made.model, len(g), made.params, layer=1, role=role))
    meta = {"kind": "brian2", "notes": ["Brian2's step t is chip step t + 1"], "outputs": outputs}
    return Network("float", tuple(populations), tuple(synapses), meta | {"input": {"population": entry, "scale": 1.0}})


def brian2_input(net: Any, steps: int) -> I32:
    """Return the spikes [steps, n] of a Brian2 Network's SpikeGeneratorGroups, side by side in the order of their names."""
    trains = []
    for group in _objects(net)["SpikeGeneratorGroup"]:
        dt = float(group.clock.dt)
        when = ((group.variables["spike_time"].get_value() + 1e-3 * dt) / dt).astype(int)  # Brian2's own rounding
        train, kept = np.zeros((steps, len(group)), np.int32), when < steps
        train[when[kept], group.variables["neuron_index"].get_value()[kept]] = 1
        trains.append(train)
    return np.concatenate(trains, axis=1)


def _callers_names() -> dict[str, Any]:
    """Return locals and globals of the first frame outside this package."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == "bimhw":
        frame = frame.f_back
    return {**frame.f_globals, **frame.f_locals} if frame is not None else {}


def _objects(net: Any) -> dict[str, list[Any]]:
    """Return the objects by kind, in the order of their names."""
    if not is_brian2(net):
        raise InputError(f"model of type {type(net).__name__!r}", "is not a brian2.Network", "Give brian2.Network(...)")
    if float(net.t) != 0:
        raise InputError("Brian2 network", f"has already run for {net.t}", "Import it before run()")
    if list(net.schedule) != ["start", "groups", "thresholds", "synapses", "resets", "end"]:
        raise InputError("Brian2 network", f"has the schedule {net.schedule}", "Use Brian2's default schedule")
    kinds: dict[str, list[Any]] = {"SpikeGeneratorGroup": [], "NeuronGroup": [], "Synapses": []}
    for obj in sorted(net.objects, key=lambda o: o.name):
        kind = type(obj).__name__
        if kind in _IGNORED:
            continue
        if kind not in kinds:
            raise InputError(f"{kind} {obj.name!r}", "cannot be imported", f"Use {', '.join(kinds)}")
        _check_parts(obj, kind)
        kinds[kind].append(obj)
    if not kinds["SpikeGeneratorGroup"] or not kinds["NeuronGroup"]:
        raise InputError("Brian2 network", "lacks a SpikeGeneratorGroup or a NeuronGroup", "Add one")
    steps = sorted({float(o.clock.dt) for k in kinds.values() for o in k})
    if len(steps) != 1:
        raise InputError("Brian2 network", f"has several time steps: {steps} s", "Use one dt")
    return kinds


def _check_parts(obj: Any, kind: str) -> None:
    where = f"{kind} {obj.name!r}"
    for part in (obj, *obj.contained_objects):
        slot = type(part).__name__
        if part is not obj and slot not in _SLOTS:
            raise InputError(where, f"has {part.name!r} ({slot})", "Leave out run_regularly, summed and other code")
        if not part.active or (slot in _SLOTS and part.when != _SLOTS[slot]):
            raise InputError(where, f"{part.name!r} is inactive or runs in the slot {part.when!r}", "Use the defaults")
    if kind == "SpikeGeneratorGroup" and 0 < float(np.ravel(obj.variables["period"].get_value())[0]) < np.inf:
        raise InputError(where, "has a period", "Write its spikes out")


def _input_name(kinds: Mapping[str, list[Any]]) -> str:
    return "+".join(g.name for g in kinds["SpikeGeneratorGroup"])


def _projections(
    synapses: Any, kinds: Mapping[str, list[Any]], groups: Mapping[str, Dynamics], names: Mapping[str, Any]
) -> list[Projection]:
    """Make one projection for each delay."""
    where, pathway = _pathway(synapses)
    inputs = kinds["SpikeGeneratorGroup"]
    source, target = synapses.source, synapses.target
    if target.name not in groups or (source.name not in groups and source not in inputs):
        raise InputError(where, f"joins {source.name!r} to {target.name!r}", "Join whole groups of the same Network")
    weights = _weights(synapses, pathway, groups[target.name], names, where)
    pre, post = (np.asarray(x, np.int64) for x in (synapses.i[:], synapses.j[:]))
    n_source, entry = len(source), source.name
    if source in inputs:
        pre = pre + sum(len(g) for g in inputs[: inputs.index(source)])
        n_source, entry = sum(len(g) for g in inputs), _input_name(kinds)
    real = np.asarray(pathway.variables["delay"].get_value(), np.float64)
    rounded = np.floor(real / float(synapses.clock.dt) + 0.5).astype(int)  # as Brian2's spike queue does
    delays, made = np.broadcast_to(rounded, pre.shape), []
    for d in np.unique(delays):
        here = delays == d
        csr = _csr(pre[here], post[here], weights[here], (n_source, len(target)))
        delay = int(d) + (source in inputs)
        made.append(Projection(f"{synapses.name}.d{d}", entry, target.name, "in", *csr, delay=delay))
    return made


def _csr(pre: Any, post: Any, weights: Any, shape: tuple[int, int]) -> tuple[Any, Any, Any]:
    """Return CSR by source; several synapses of one pair add up."""
    from scipy import sparse

    matrix = sparse.csr_array(sparse.coo_array((weights, (pre, post)), shape=shape))
    matrix.sum_duplicates()
    matrix.sort_indices()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float64)


def _pathway(synapses: Any) -> tuple[str, Any]:
    where, pathways = f"Synapses {synapses.name!r}", synapses._pathways
    if len(pathways) != 1 or pathways[0].prepost != "pre":
        raise InputError(where, f"has the pathways {[p.objname for p in pathways]}", "Use one on_pre and no on_post")
    if set(synapses.equations.names) != set(synapses.equations.parameter_names):
        raise InputError(where, "has equations of its own", "Use parameters only, such as 'w : 1'")
    return where, pathways[0]


def _weights(synapses: Any, pathway: Any, target: Dynamics, names: Mapping[str, Any], where: str) -> Any:
    from brian2.parsing.sympytools import str_to_sympy

    name, op, expression = statement(pathway.code, where, "on_pre")
    if name.removesuffix("_post") != target.receives or op not in ("+=", "-=") or name in synapses.equations:
        raise InputError(where, f"has the on_pre {pathway.code!r}", f"Use '{target.receives}_post += w'")
    weights = evaluate(str_to_sympy(expression), synapses, names, where)
    return (weights if op == "+=" else -weights) * target.gain[np.asarray(synapses.j[:], np.int64)]
