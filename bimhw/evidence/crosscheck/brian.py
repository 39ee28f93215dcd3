"""The Brian2 twin of a network: the same graph in another simulator, from each neuron model's own Brian2 statements.

Time: Brian2's step is 1 ms here and stands for one chip step. Statements run in the slot ``groups``, spikes are found in
``thresholds`` and delivered in ``synapses`` after the synapse's delay, so that a spike of step t is met by the
statements of step t + 1 + delay: the chip's rule. Everything is a double; integers up to 2^53 are exact.
"""

from __future__ import annotations

import logging
import re
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.errors import InputError, MissingExtraError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import NeuronModel, get
from simulator.program.graph import Population, Projection
from simulator.program.shared import unrolled

Target = Literal["numpy", "cython", "cpp_standalone"]
STEP_MS = 1.0


@dataclass(frozen=True, eq=False)
class TwinRun:
    """Result of the twin's run.

    Attributes:
        out: population -> what it sent, float64 [T, n].
        states: (population, state) -> float64 [T, n], for the probes asked for.
    """

    out: Mapping[str, Floats]
    states: Mapping[tuple[str, str], Floats]


def run_brian(
    network: Network,
    inputs: Mapping[str, Floats],
    steps: int,
    probes: Sequence[tuple[str, str]] = (),
    target: Target = "numpy",
) -> TwinRun:
    """Run a network in Brian2.

    Args:
        network: float or integer stage.
        inputs: input population -> values [T_in, n] sent at steps 0..T_in-1 (0: no spike).
        steps: chip steps.
        probes: (population, state) pairs to record after each step.
        target: code generation of Brian2's runtime.

    Raises:
        MissingExtraError: Brian2 is not installed.
        InputError: a neuron model that Brian2 cannot express; named, with the population.
    """
    for population in network.populations:
        statements_of(population, network.stage)
    with brian_scope(target) as b2:
        return _Twin(b2, network, inputs, steps, probes, target).run()


def statements_of(population: Population, stage: str) -> str:
    """Return the Brian2 statements of a population's model in a stage.

    Raises:
        InputError: the model has none.
    """
    if population.model == INPUT_MODEL:
        return ""
    model = get(population.model)
    code = model.brian2 if stage == "float" else model.brian2_integer
    where = f"population {population.name!r}"
    if not code:
        other = (
            "Compare a trained model with its own module (--against torch)"
            if stage == "float"
            else "Check the float network"
        )
        problem = f"its model {model.name!r} has no Brian2 form in the {stage} stage"
        raise InputError(where, problem, f"{other}, or give the neuron `brian2` statements (docs/neurons.md)")
    if np.any(np.asarray(population.params.get("noise_target", 0))):
        raise InputError(where, "draws random numbers, which Brian2 draws otherwise", "Switch the noise off")
    return code


@contextmanager
def brian_scope(target: Target) -> Iterator[Any]:
    """Set up Brian2 with a code generation target, its warnings kept quiet; put its preferences back afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brian2 and what it imports warn of their own deprecations
        hook, on_interrupt = sys.excepthook, signal.getsignal(signal.SIGINT)
        try:
            import brian2 as b2
        except ImportError as error:
            raise MissingExtraError("brian2", "brian2", "the cross-check against Brian2") from error
        finally:
            sys.excepthook = hook  # Brian2's own would hide a traceback in its log file
            if threading.current_thread() is threading.main_thread():  # Brian2's own fails where SIGINT is ignored
                signal.signal(signal.SIGINT, on_interrupt)
        b2.BrianLogger.suppress_name("method_choice")
        b2.start_scope()
        with _unlogged(b2), _uncached():
            yield from _standalone(b2) if target == "cpp_standalone" else _runtime(b2, target)


@contextmanager
def _unlogged(b2: Any) -> Iterator[None]:
    """Keep Brian2 from writing its log file, which a full disk turns into a traceback for every line."""
    logger, file = logging.getLogger("brian2"), b2.BrianLogger.file_handler
    if file is None:
        yield
        return
    logger.removeHandler(file)
    try:
        yield
    finally:
        logger.addHandler(file)


@contextmanager
def _uncached() -> Iterator[None]:
    """Parse each block of code anew: Brian2's key to the parsed ones, all variables, takes ten times as long."""
    from brian2.codegen import translation

    cached = translation.make_statements
    translation.make_statements = getattr(cached, "__wrapped__", cached)
    try:
        yield
    finally:
        translation.make_statements = cached


def _runtime(b2: Any, target: str) -> Iterator[Any]:
    # Without these optimisations Brian2 keeps the order of operations of the statements, and so their last bit.
    # Ctrl-C would end Brian2's run half-way in peace, and what it had until then would be judged.
    wanted = {
        "codegen.target": target,
        "codegen.loop_invariant_optimisations": False,
        "core.stop_on_keyboard_interrupt": False,
    }
    before = {name: b2.prefs[name] for name in wanted}
    for name, value in wanted.items():
        b2.prefs[name] = value
    try:
        yield b2
    finally:
        for name, value in before.items():
            b2.prefs[name] = value


def _standalone(b2: Any) -> Iterator[Any]:
    """Let Brian2 write, compile and run a C++ program in a folder that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="bimhw-brian2-") as folder:
        b2.set_device("cpp_standalone", build_on_run=False, directory=folder)
        try:
            yield b2
        finally:
            b2.device.reinit()
            b2.set_device("runtime")


class _Twin:
    """Builds and runs the Brian2 objects of one network."""

    def __init__(
        self,
        b2: Any,
        network: Network,
        inputs: Mapping[str, Floats],
        steps: int,
        probes: Sequence[tuple[str, str]],
        target: Target,
    ) -> None:
        self.b2, self.network, self.steps = b2, network, steps
        self.standalone = target == "cpp_standalone"
        self.dt = STEP_MS * b2.ms
        self.clock = b2.Clock(self.dt)
        self.namespace: dict[str, Any] = {}
        self.groups = {p.name: self._group(p, inputs) for p in network.populations}
        self.updates = {p.name: self._update(p) for p in network.populations}
        self.holds = {p.name: self._hold(p) for p in network.populations if p.layer and network.stage == "float"}
        self.synapses = [self._synapses(q) for q in network.projections if q.n_synapses]
        self.monitors = {p.name: self._monitor(p, probes) for p in network.populations}
        parts = [*self.groups.values(), *self.synapses, *self.monitors.values()]
        self.net = b2.Network(*parts)

    def run(self) -> TwinRun:
        """Start each layer when its step comes, run to the end, collect."""
        # An integer model that waits for its layer counts the steps itself.
        start = {p.name: p.layer if self.network.stage == "float" else 0 for p in self.network.populations}
        started = 0
        for layer in sorted(set(start.values())):
            self._advance(min(layer, self.steps) - started)
            started = min(layer, self.steps)
            for name in (n for n, at in start.items() if at == layer):
                self.updates[name].active = True
                if name in self.holds:
                    self.holds[name].active = False
        self._advance(self.steps - started)
        if self.standalone:
            self.b2.device.build(directory=None, compile=True, run=True)
        out = {n: np.asarray(m.out).T for n, m in self.monitors.items()}
        states = {
            (n, s): np.asarray(getattr(m, f"s_{s}")).T for n, m in self.monitors.items() for s in self._recorded[n]
        }
        return TwinRun(out, states)

    def _advance(self, steps: int) -> None:
        if steps > 0:
            self.net.run(steps * self.dt, namespace={})

    def _group(self, p: Population, inputs: Mapping[str, Floats]) -> Any:
        if p.model == INPUT_MODEL:
            return self._source(p, inputs)
        model = get(p.model)
        depth = self._history(p.name)
        names = [f"acc_{port}" for port in model.ports] + [f"s_{w.name}" for w in model.states]
        names += ["out"] + [f"out_{k}" for k in range(1, depth + 1)]
        equations = "\n".join(f"{n} : 1" for n in names)
        params = _params(p, model)
        equations += "\n" + "\n".join(f"p_{n} : 1 (constant)" for n in params)
        group = self._neurons(p.size, equations)
        for name, value in params.items():
            setattr(group, f"p_{name}", value)
        for state, source in model.initial.items():
            if f"s_{state}" in names and source in params:
                setattr(group, f"s_{state}", params[source])
        return group

    def _source(self, p: Population, inputs: Mapping[str, Floats]) -> Any:
        if p.name not in inputs:
            raise InputError(f"input {p.name!r}", "has no values", f"Given: {sorted(inputs)}")
        padded = np.zeros((self.steps + 1, p.size))
        given = inputs[p.name][: self.steps]
        padded[: len(given)] = given
        values = self.b2.TimedArray(padded, dt=self.dt)
        history = "".join(f"\nout_{k} : 1" for k in range(1, self._history(p.name) + 1))
        return self._neurons(p.size, f"out : 1{history}", {"values": values})

    def _neurons(self, size: int, equations: str, namespace: Mapping[str, Any] | None = None) -> Any:
        return self.b2.NeuronGroup(
            size, equations, threshold="out != 0", reset="", namespace=dict(namespace or {}), clock=self.clock
        )

    def _history(self, name: str) -> int:
        """Count the past outputs that must be kept: graded spikes that arrive later than the next step."""
        return max((q.delay for q in self.network.projections if q.source == name and self._graded(q)), default=0)

    def _graded(self, q: Projection) -> bool:
        source = self.network.population(q.source)
        return source.model == INPUT_MODEL or get(source.model).emits == "graded"

    def _update(self, p: Population) -> Any:
        depth = self._history(p.name)
        shift = [f"out_{k} = {'out' if k == 1 else f'out_{k - 1}'}" for k in range(depth, 0, -1)]
        if p.model == INPUT_MODEL:
            body = ["out = values(t, i)"]
        else:
            model = get(p.model)
            body = ["out = 0", *_renamed(statements_of(p, self.network.stage), model)]
            body += [f"acc_{port} = 0" for port in model.ports]
        update = self.groups[p.name].run_regularly("\n".join([*shift, *body]), clock=self.clock, when="groups")
        update.active = False
        return update

    def _hold(self, p: Population) -> Any:
        """Drop what arrives before a population starts."""
        clear = "\n".join(f"acc_{port} = 0" for port in get(p.model).ports)
        return self.groups[p.name].run_regularly(clear, clock=self.clock, when="groups")

    def _synapses(self, q: Projection) -> Any:
        source, target = self.groups[q.source], self.groups[q.target]
        value = "w"
        if self._graded(q):
            value = "w * out_pre" if q.delay == 0 else f"w * out_{q.delay}_pre"
        synapses = self.b2.Synapses(
            source, target, "w : 1 (constant)", on_pre=f"acc_{q.port}_post += {value}", clock=self.clock
        )
        q = unrolled(q)
        pre = np.repeat(np.arange(q.indptr.size - 1), np.diff(q.indptr))
        synapses.connect(i=pre, j=q.targets)
        synapses.w = q.weights.astype(np.float64) * 2.0**q.exponent
        synapses.pre.delay = q.delay * self.dt
        return synapses

    def _monitor(self, p: Population, probes: Sequence[tuple[str, str]]) -> Any:
        states = [s for name, s in probes if name == p.name]
        self._recorded = getattr(self, "_recorded", {}) | {p.name: states}
        variables = ["out", *(f"s_{s}" for s in states)]
        return self.b2.StateMonitor(self.groups[p.name], variables, record=True, clock=self.clock, when="end")


def _params(p: Population, model: NeuronModel) -> dict[str, Any]:
    defaults: dict[str, Any] = dict(model.defaults)
    return defaults | {n: np.asarray(v, np.float64) for n, v in p.params.items()}


def _renamed(statements: str, model: NeuronModel) -> list[str]:
    """Rename states to s_NAME and parameters to p_NAME: their own names (I, x, t ...) mean something else to Brian2."""
    states = {w.name for w in model.states}
    names = {s: f"s_{s}" for s in states}
    code = statements.replace("\n\n", "\n").strip()
    params = set(re.findall(_NAME, code)) - states - _FUNCTIONS - {f"acc_{p}" for p in model.ports} - {"out"}
    assigned = {m.group(1) for m in re.finditer(r"^\s*(\w+) =", code, re.MULTILINE)} - states - {"out"}
    names |= {n: f"p_{n}" for n in params - assigned} | {n: f"tmp_{n}" for n in assigned}
    return [re.sub(_NAME, lambda m: names.get(m.group(0), m.group(0)), line) for line in code.splitlines()]


_NAME = r"(?<![\w.])[A-Za-z_]\w*"  # not the e of 1e300
_FUNCTIONS = {"int", "floor", "abs", "sign", "exp", "log", "clip", "sqrt"}
