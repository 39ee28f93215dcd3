"""The net's own steps while it learns: in integers by the functional simulator, in wide words by the models' float twins.

Both keep the chip's time: what is sent in step t, through the weights of step t, arrives at step t + 1 + delay; a neuron of
layer l waits in its initial state for its first l steps. `before` is called ahead of every step, `after` behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from simulator.base.arrays import I32, U8, Array, Floats
from simulator.base.names import INPUT_MODEL
from simulator.function.simulation import Simulation
from simulator.neurons import base, s6
from simulator.neurons.bim_d import CONST_FRAC, D_SKIP_FRAC
from simulator.plasticity.decode import R_DT, R_SIG, R_STATES, LayerWords, words_of
from simulator.plasticity.forms.base import C_B, C_D, C_K, C_KAP, C_LC, C_P_VI, C_P_VR, C_RHO
from simulator.plasticity.forms.record import R_ABAR, R_C, R_M, R_S, R_V, R_X, R_X_OLD, R_Z
from simulator.plasticity.layers.net import Layer, Net, dense_weights
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Call = Callable[[int], None]
_CONSTANTS = ((C_KAP, "kap"), (C_RHO, "rho"), (C_P_VI, "p_vi"), (C_P_VR, "p_vr"), (C_B, "b"), (C_LC, "gain"))


class Forward(Protocol):
    """The net stepping; weights and biases may be changed between steps.

    Attributes:
        weights: projection number -> its weights [n_source, n_target] (a view), in stored units.
        units: projection number -> value of one stored unit, [n_target].
    """

    weights: dict[int, Array]
    units: dict[int, Floats]

    def run(self, x: Array, steps: int, before: Call, after: Call) -> None:
        """Run one sample x [T, n_in] over `steps` chip steps from the initial state."""

    def record(self, layer: int, out: Floats, mine: slice = slice(None)) -> None:
        """Fill the record [8, mine] of the step that some neurons of `layer` (0-based) just did (s6: [8 + 4 N, mine])."""

    def sent(self, population: str) -> Floats:
        """Return what a population sent in the last step, as real values [n]."""

    def scores(self) -> Floats:
        """Return the readout's states y [C], as real values."""

    def constants(self, layer: int) -> Floats:
        """Return constants [8, H] of a layer (rows of `rtrl`), the skip weight D included."""

    def theta_and_a(self, layer: int) -> tuple[Floats, Floats]:
        """Return threshold and a of a layer's neurons."""

    def log_rates(self, layer: int) -> Floats:
        """Return A_log [N, H] of an s6 layer."""

    def bias(self, population: str, name: str) -> tuple[Array, float]:
        """Return a parameter row [n] (a view, stored units) and the value of its unit (0: not rounded)."""

    def biases_changed(self) -> None:
        """Tell that parameter rows were written."""


class WideForward:
    """Float twins of the models on a float program (weights and parameters float64)."""

    def __init__(self, program: Program, net: Net) -> None:
        self.net = net
        self.populations = {p.name: p for p in program.populations}
        self.params = {
            p.name: {k: np.broadcast_to(np.asarray(v, np.float64), (p.size,)).copy() for k, v in p.params.items()}
            for p in program.populations
        }
        self.projections = program.projections
        self.weights = {k: dense_weights(program, k).astype(np.float64) for k in range(len(program.projections))}
        self.units = {k: np.ones(w.shape[1]) for k, w in self.weights.items()}
        self.reach = 2 + max((q.delay for q in program.projections), default=0)
        self._old: dict[str, tuple[Floats, Floats]] = {}
        self._acc: dict[str, dict[str, Floats]] = {}

    def run(self, x: Array, steps: int, before: Call, after: Call) -> None:
        """See `Forward.run`; x holds real values."""
        self._start()
        inputs = [p.name for p in self.populations.values() if p.model == INPUT_MODEL]
        for c in range(steps):
            before(c)
            self.out = {inputs[0]: x[c] if c < len(x) else np.zeros(x.shape[1])}
            for p in self.populations.values():
                if p.model != INPUT_MODEL:
                    self.out[p.name] = self._update(p.name, c) if c >= p.layer else np.zeros(p.size)
            self._send(c)
            after(c)

    def _start(self) -> None:
        self.state: dict[str, dict[str, Floats]] = {}
        self.rings: dict[str, dict[str, Floats]] = {}
        for p in self.populations.values():
            model = base.get(p.model)
            self.state[p.name] = {s: np.zeros(p.size) for s in model.float_states}
            for s, source in model.initial.items():
                if s in self.state[p.name]:
                    self.state[p.name][s] = self.params[p.name][source].copy()
            self.rings[p.name] = {port: np.zeros((self.reach, p.size)) for port in model.ports}

    def _update(self, name: str, c: int) -> Floats:
        state, model = self.state[name], base.get(self.populations[name].model)
        acc = {port: ring[c % self.reach].copy() for port, ring in self.rings[name].items()}
        for ring in self.rings[name].values():
            ring[c % self.reach] = 0.0
        if "ref" in state:
            self._old[name] = state["x"].copy() if "x" in state else np.zeros(0), state["ref"].copy()
            self._acc[name] = acc
        assert model.float_step is not None
        return model.float_step(acc, state, self.params[name])

    def _send(self, c: int) -> None:
        for k, q in enumerate(self.projections):
            value = self.out[q.source]
            if value.any():
                self.rings[q.target][q.port][(c + 1 + q.delay) % self.reach] += value @ self.weights[k]

    def record(self, layer: int, out: Floats, mine: slice = slice(None)) -> None:
        """See `Forward.record`."""
        name = self.net.layers[layer].population.name
        state = {k: v[mine] for k, v in self.state[name].items()}
        params = {k: v[mine] for k, v in self.params[name].items()}
        free = self._old[name][1][mine] == 0
        out[R_Z], out[R_V], out[R_M] = state["z"], state["v_pre"], free
        out[R_S] = free & (state["v_pre"] >= params["theta"])
        if self.net.layers[layer].states:
            self._record_s6(name, state, params, out, mine)
            return
        out[R_C], out[R_X_OLD], out[R_X] = state["c"], self._old[name][0][mine], state["x"]
        out[R_ABAR] = np.exp(-params["a"] * np.logaddexp(0.0, state["d"]))

    def _record_s6(
        self, name: str, state: Mapping[str, Floats], params: Mapping[str, Floats], out: Floats, mine: slice
    ) -> None:
        step = np.logaddexp(0.0, state["d"])
        out[R_DT], out[R_SIG], rest = step, -np.expm1(-step), out[R_STATES:]
        states = len(rest) // 4
        for n in range(states):
            rest[n] = np.exp(-np.exp(params[f"l{n}"]) * step)
            rest[states + n] = state[f"x{n}"]
            rest[2 * states + n], rest[3 * states + n] = self._acc[name][f"b{n}"][mine], self._acc[name][f"c{n}"][mine]

    def sent(self, population: str) -> Floats:
        """See `Forward.sent`."""
        return self.out[population]

    def scores(self) -> Floats:
        """See `Forward.scores`."""
        return self.state[self.net.readout.name]["y"].copy()

    def constants(self, layer: int) -> Floats:
        """See `Forward.constants`."""
        params, readout = self.params[self.net.layers[layer].population.name], self.params[self.net.readout.name]
        out = np.zeros((8, self.net.layers[layer].size))
        for row, name in _CONSTANTS:
            out[row] = params.get(name, 0.0)
        out[C_D], out[C_K] = params["D"], readout["k"][0]
        return out

    def theta_and_a(self, layer: int) -> tuple[Floats, Floats]:
        """Return threshold and a of a layer's neurons."""
        params = self.params[self.net.layers[layer].population.name]
        return params["theta"], params.get("a", np.ones(params["theta"].size))

    def log_rates(self, layer: int) -> Floats:
        """See `Forward.log_rates`."""
        of = self.net.layers[layer]
        return np.stack([self.params[of.population.name][f"l{n}"] for n in range(of.states)])

    def bias(self, population: str, name: str) -> tuple[Array, float]:
        """See `Forward.bias`."""
        return self.params[population][name], 0.0

    def biases_changed(self) -> None:
        """Do nothing: nothing is cached."""


class ChipForward:
    """The functional simulator on an integer program; states and spikes are those of `simulator.function.run`.

    Args:
        program: integer, plastic projections dense.
        net: its learnable net.
        fracs: population -> word -> binary point (as the compiler noted them).
        input_unit: value of payload 1 of an input spike.
        seed: of stochastic neurons.
        simulation: what runs the program, if not a `Simulation` of its own.

    Attributes:
        active: bits [N] of each step, which neurons had input or fired; None: not noted.
        counted: gives the counters of a run whose events are let go, of so many samples; None: events are kept.
    """

    def __init__(
        self, program: Program, net: Net, fracs: Mapping[str, Mapping[str, int]], input_unit: float, seed: int,
        simulation: Simulation | None = None,
    ) -> None:  # fmt: skip
        self.program, self.net, self.fracs, self.input_unit = program, net, fracs, input_unit
        self.simulation = simulation or Simulation(program, seed=seed)
        layout = self.simulation.layout
        self.cells = {c.name: c for c in layout.cells}
        self.index = {c.name: k for k, c in enumerate(layout.cells)}
        self.rows = {n: {w.name: r for r, w in enumerate(c.model.params)} for n, c in self.cells.items()}
        self.weights = {
            k: s.weights.reshape(s.indptr.size - 1, layout.cells[s.target].size)
            for k, s in enumerate(layout.synapses)
            if s.weights.size == (s.indptr.size - 1) * layout.cells[s.target].size
        }
        self.units = {k: self._unit(k) for k in self.weights}
        self._layers = [self._words(layer) for layer in net.layers]
        self.steps_done = 0
        self.active: list[U8] | None = None
        self.counted: Callable[[int], Activity] | None = None

    def _words(self, layer: Layer) -> LayerWords:
        name = layer.population.name
        return words_of(layer, self.simulation, self.index[name], self.cells[name], self.fracs[name])

    def _unit(self, k: int) -> Floats:
        """Return the value of one stored unit of a projection's weights for an input of value 1 (a spike, or a graded 1.0)."""
        q = self.program.projections[k]
        word = q.port if q.port != "in" else self._sum_word(q.target)
        mul, sh = ("mul", "sh") if q.port == "in" else (f"mul_{q.port}", f"sh_{q.port}")
        shift = self._row(q.target, sh) + self.fracs[q.target][word] - q.exponent
        return np.asarray(self._row(q.target, mul) * 2.0**-shift / self.source_unit(q.source))

    def _sum_word(self, population: str) -> str:
        """Return the word that the sums at a port ``in`` go to."""
        return "p" if self.cells[population].model.name == s6.PROJECT else "y"

    def source_unit(self, population: str) -> float:
        """Return the value of payload 1 of a population's spikes."""
        p = self.cells[population]
        if p.model.kernel is None:
            return self.input_unit
        if p.model.name == s6.PROJECT:
            return float(2.0 ** -self.fracs[population]["p"])
        if p.model.emits == "graded":
            frac = self.fracs[population]["V"] - int(self._row(population, "sh_out")[0])
            return float(2.0**-frac)
        return 1.0

    def _row(self, population: str, name: str) -> I32:
        row: I32 = self.cells[population].params[self.rows[population][name]]
        return row

    def run(self, x: Array, steps: int, before: Call, after: Call) -> None:
        """See `Forward.run`; x holds integer payloads."""
        sim, done, train = self.simulation, [0], self.start(x)

        seen = sim.active_of_neuron.copy()

        def hook(_: Simulation) -> None:
            if self.active is not None:
                self.active.append(np.packbits(sim.active_of_neuron != seen))
                seen[:] = sim.active_of_neuron
            after(done[0])
            done[0] += 1
            if done[0] < steps:
                before(done[0])
                self.snapshot()

        before(0)
        self.snapshot()
        sim.step_hooks = [hook]
        sim.advance(train, steps)
        self.steps_done += steps

    def start(self, x: Array) -> SpikeTrain:
        """Start a sample x [T, n_in]: reset all state, return the sample's input."""
        if self.steps_done:
            self.simulation.reset()
        source = next(c for c in self.cells.values() if c.model.kernel is None)
        return SpikeTrain.from_dense(np.asarray(x), source.first)

    def snapshot(self) -> None:
        """Keep the words that the step to come begins with."""
        for layer in self._layers:
            layer.snapshot()

    def record(self, layer: int, out: Floats, mine: slice = slice(None)) -> None:
        """See `Forward.record`."""
        self._layers[layer].decode(out, mine)

    def sent(self, population: str) -> Floats:
        """See `Forward.sent`."""
        cell = self.cells[population]
        ids, payload = self.simulation.events
        lo, hi = np.searchsorted(ids, (cell.first, cell.first + cell.size))
        out = np.zeros(cell.size)
        out[ids[lo:hi] - cell.first] = payload[lo:hi] * self.source_unit(population)
        return out

    def scores(self) -> Floats:
        """See `Forward.scores`."""
        name = self.net.readout.name
        return np.asarray(self.simulation.state.words[self.index[name]][0] * 2.0 ** -self.fracs[name]["y"])

    def constants(self, layer: int) -> Floats:
        """See `Forward.constants`."""
        name = self.net.layers[layer].population.name
        out = np.zeros((8, self.net.layers[layer].size))
        for row, word in _CONSTANTS:
            if word in self.rows[name]:
                out[row] = self._row(name, word) * 2.0**-CONST_FRAC
        out[C_D] = self._row(name, "D") * 2.0**-D_SKIP_FRAC
        out[C_K] = 1.0 - self._row(self.net.readout.name, "m")[0] * 2.0**-CONST_FRAC
        return out

    def theta_and_a(self, layer: int) -> tuple[Floats, Floats]:
        """Return threshold and a of a layer's neurons (a chip's decay table has a = 1)."""
        name = self.net.layers[layer].population.name
        theta = np.asarray(self._row(name, "theta") * 2.0 ** -self.fracs[name]["V"], np.float64)
        return theta, np.ones(theta.size)

    def log_rates(self, layer: int) -> Floats:
        """See `Forward.log_rates`."""
        of = self.net.layers[layer]
        rows = [self._row(of.population.name, f"l{n}") * 2.0**-s6.LOG_FRAC for n in range(of.states)]
        return np.stack(rows)

    def bias(self, population: str, name: str) -> tuple[Array, float]:
        """See `Forward.bias`."""
        word = name.removeprefix("b_") if name.startswith("b_") else self._sum_word(population) if name == "b" else ""
        frac = self.fracs[population][word] if word else (D_SKIP_FRAC if name == "D" else s6.LOG_FRAC)
        return self._row(population, name), 2.0**-frac

    def biases_changed(self) -> None:
        """Copy parameters that are initial states too."""
        cell = self.cells[self.net.readout.name]
        for k, word in enumerate(cell.model.states):
            if word.name in cell.model.initial:
                cell.initial[k] = self._row(cell.name, cell.model.initial[word.name])
        for layer in self._layers:
            layer.load()
