"""The float engine of NIR graphs: numpy, batched, one pass over the nodes a step."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bimhw.frontends.nir.dynamics import Neuron, make_neuron, spread
from bimhw.frontends.nir.graph import NEURONS, NirGraph, Node
from bimhw.frontends.nir.linear import apply
from bimhw.frontends.nir.order import Order, order
from bimhw.frontends.nir.profile import Profile
from bimhw.frontends.nir.sources import delay_steps
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError


class _Delay:
    """A line of past inputs; element j of the output is the input of `steps[j]` steps ago (0 before the start)."""

    def __init__(self, steps: I64, batch: int) -> None:
        self.steps = steps
        self.line = np.zeros((int(steps.max(initial=0)) + 1, batch, *steps.shape))
        self.now = 0

    def read(self) -> Floats:
        """Return the output of this step; needs this step's input only where a delay is 0."""
        past = (self.now - self.steps) % self.line.shape[0]
        index = np.broadcast_to(past, self.line.shape[1:])[None]
        taken: Floats = np.take_along_axis(self.line, index, axis=0)[0]
        return taken

    def write(self, x: Floats) -> None:
        """Store this step's input."""
        self.line[self.now] = x

    def advance(self) -> None:
        """Go to the next step."""
        self.now = (self.now + 1) % self.line.shape[0]


@dataclass(frozen=True)
class Run:
    """Result of `run_graph`.

    Attributes:
        outputs: Output node -> [T, B, *shape].
        probes: node -> [T, B, *shape], what each probed node gave out.
        membranes: neuron -> [T, B, *shape] after each step, for the probed neurons.
    """

    outputs: Mapping[str, Floats]
    probes: Mapping[str, Floats]
    membranes: Mapping[str, Floats]


def run_graph(graph: NirGraph, profile: Profile, inputs: Mapping[str, Floats], probes: Collection[str] = ()) -> Run:
    """Run every step of the inputs from rest.

    Args:
        graph: checked graph.
        profile: settled on the graph (`sources.choose`).
        inputs: Input node -> [T, B, *shape].
        probes: names of nodes whose output (and membrane, of neurons) is kept.

    Raises:
        InputError: an input that is missing or of another shape, or probes of nodes that are not there.
    """
    steps, batch = _check(graph, inputs, probes)
    engine = _Engine(graph, profile, order(graph, profile.delayed_edges), batch)
    ends = [n.name for n in graph.of_kind("Output")]
    kept: dict[str, list[Floats]] = {n: [] for n in [*ends, *probes]}
    membranes: dict[str, list[Floats]] = {n: [] for n in probes if n in engine.neurons}
    for t in range(steps):
        values = engine.step({name: x[t] for name, x in inputs.items()})
        for name, rows in kept.items():
            rows.append(engine.read(name) if name in ends else values[name])
        for name, rows in membranes.items():
            rows.append(engine.neurons[name].v.copy())
    stacked = {n: np.stack(rows) for n, rows in kept.items()}
    return Run(
        {n: stacked[n] for n in ends},
        {n: stacked[n] for n in probes},
        {n: np.stack(rows) for n, rows in membranes.items()},
    )


def _check(graph: NirGraph, inputs: Mapping[str, Floats], probes: Collection[str]) -> tuple[int, int]:
    lead = set()
    for node in graph.of_kind("Input"):
        if node.name not in inputs:
            raise InputError(f"input {node.name!r}", "has no values", f"Given: {sorted(inputs)}")
        x = inputs[node.name]
        if x.ndim != 2 + len(node.out_shape) or x.shape[2:] != node.out_shape:
            raise InputError(f"input {node.name!r}", f"has shape {x.shape}, needs [T, B, {node.out_shape}]")
        lead.add(x.shape[:2])
    if len(lead) != 1:
        raise InputError("inputs", f"have different numbers of steps and samples: {sorted(lead)}")
    for name in probes:
        if name not in graph.nodes:
            raise InputError(f"probe {name!r}", "is not a node", f"Nodes: {', '.join(graph.nodes)}")
    steps, batch = lead.pop()
    return steps, batch


class _Engine:
    def __init__(self, graph: NirGraph, profile: Profile, plan: Order, batch: int) -> None:
        self.graph, self.profile, self.plan, self.batch = graph, profile, plan, batch
        self.neurons: dict[str, Neuron] = {
            n.name: make_neuron(n, profile.of(n.name), batch) for n in graph.of_kind(*NEURONS)
        }
        self.delays = {n.name: self._delay(n) for n in graph.of_kind("Delay")}
        self.sources = {name: graph.sources(name) for name in graph.nodes}
        self.values: dict[str, Floats] = {n.name: np.zeros((batch, *n.out_shape)) for n in graph.nodes.values()}
        self.last = dict(self.values)

    def _delay(self, node: Node) -> _Delay:
        steps = delay_steps(self.graph, node, self.profile.of(node.name))
        return _Delay(spread(steps, node.in_shape).astype(np.int64), self.batch)

    def step(self, inputs: Mapping[str, Floats]) -> Mapping[str, Floats]:
        """Take one step; return the output of every node."""
        self.last = dict(self.values)
        for name in self.plan.nodes:
            node = self.graph.nodes[name]
            if node.kind == "Input":
                self.values[name] = inputs[name]
            elif node.kind == "Delay":
                self.values[name] = self._delayed(name, node)
            elif name in self.neurons:
                self.values[name] = self.neurons[name].step(self._arriving(name))
            else:
                self.values[name] = apply(node, self._arriving(name))
        for name, delay in self.delays.items():
            delay.write(self._arriving(name))
            delay.advance()
        return self.values

    def _delayed(self, name: str, node: Node) -> Floats:
        delay = self.delays[name]
        if (delay.steps == 0).any():
            delay.write(self._arriving(name))
        return delay.read()

    def _arriving(self, name: str) -> Floats:
        """Sum over the edges into a node, [B, *in_shape]."""
        shape = (self.batch, *self.graph.nodes[name].in_shape)
        total = np.zeros(shape)
        for source in self.sources[name]:
            value = self.last[source] if (source, name) in self.plan.delayed else self.values[source]
            total = total + value.reshape(shape)
        return total

    def read(self, name: str) -> Floats:
        """Return what the Output `name` shows under the profile: spikes, counts, or membranes of the neurons before it."""
        if self.profile.output == "counts":
            return self.values[name]
        shape = (self.batch, *self.graph.nodes[name].in_shape)
        total = np.zeros(shape)
        for source in self.sources[name]:
            neuron = self.neurons.get(source)
            value = self.values[source]
            if self.profile.output == "membrane" and neuron is not None:
                value = neuron.v
            elif neuron is not None and neuron.fires:
                value = np.minimum(value, 1.0)
            total = total + value.reshape(shape)
        return total


def shape_input(graph: NirGraph, name: str, x: npt.NDArray[np.generic]) -> Floats:
    """Return the values of an Input as [T, B, *shape], from [T, B, ...] or [T, ...] with the same number of elements.

    Raises:
        InputError: another number of elements, or values that are not finite numbers.
    """
    wanted = graph.nodes[name].out_shape
    if x.dtype.kind not in "fiub" or not np.isfinite(x).all():
        raise InputError(f"input {name!r}", "has values that are not finite numbers")
    size = math.prod(wanted)
    if x.ndim >= 2 and math.prod(x.shape[2:]) == size:
        return x.reshape(*x.shape[:2], *wanted).astype(np.float64)
    if x.ndim >= 1 and math.prod(x.shape[1:]) == size:
        return x.reshape(x.shape[0], 1, *wanted).astype(np.float64)
    raise InputError(f"input {name!r}", f"has shape {x.shape}, needs [T, B, {wanted}] or [T, {wanted}]")
