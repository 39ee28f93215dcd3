"""The step loop: arrivals -> neuron update -> emit, one step after another, over the arrays of a layout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from simulator.base.arrays import I32, I64, AnyInts, Integers
from simulator.base.errors import InputError, SaturationError
from simulator.base.host_memory import check_memory
from simulator.function.fast import Plain, plain
from simulator.function.fast_run import advance_plain
from simulator.function.faults import Breakage
from simulator.function.inputs import Drive, check_inputs, split_inputs
from simulator.function.kernels import collect, narrow, scatter_binary, scatter_delayed, scatter_graded, scatter_shared
from simulator.function.large import Large, advance_large, large
from simulator.function.layout import PAYLOAD_MAX, Cells, Layout, Synapses, lay_out
from simulator.function.saturation import add_clipped, add_saturated
from simulator.function.state import Probe, Record, State
from simulator.program.faults import Faults
from simulator.program.program import Program
from simulator.program.shared import unrolled_all
from simulator.program.spikes import SpikeTrain


class Simulation:
    """A program being run. `advance` does steps, `reset` clears the dynamic state, `step_hooks` are called after each.

    Args:
        program: what to run.
        seed: key of all random numbers.
        probes: (population, state) pairs to record at every step.
        strict: a saturation is an error instead of a count.
        graded_inputs: whether inputs may carry payloads other than 1 (sums are then 64 bits where they may have to be).
        fast: whether the fast loop may be used where the program qualifies; results are the same.
        count_active: whether the fast loop counts active updates (an input that is not 0, or a spike), at 3-5 % of its
            time; the general loop always does.
        faults: what is broken on the chip, if anything.
        threads: that share the neurons of one fast run; results are the same.

    Attributes:
        layout: the program as arrays.
        state: see `State`.
        events: (ids, payloads) emitted in the last step, ids ascending.
        changeable: names of the projections whose weights may differ from the program's.
        step_hooks: called with the simulation after every step (learning, faults, traces).
    """

    def __init__(
        self,
        program: Program,
        *,
        seed: int = 0,
        probes: Sequence[Probe] = (),
        strict: bool = False,
        graded_inputs: bool = True,
        fast: bool = True,
        count_active: bool = True,
        faults: Faults | None = None,
        threads: int = 1,
    ) -> None:
        if faults is not None and faults.touches_function:
            program = replace(program, projections=unrolled_all(program.projections))  # faults hit single synapses
        self.layout: Layout = lay_out(program, graded_inputs)
        self.changeable = {p.name for p in program.projections if p.plastic}
        self.fast_form: Plain | Large | None = None
        if fast and not probes and not self.changeable:
            self.fast_form = large(self.layout, threads) or plain(self.layout)
        self._graded_inputs, self._count_active = graded_inputs, count_active
        self.seed, self.strict, self.threads = seed, strict, threads
        self._probed = [(p, *self._find_probe(p)) for p in probes]
        self._rest(probes)
        for name in sorted(self.changeable):
            self._widen(self._synapses(name).target)
        self.breakage: Breakage | None = None
        if faults is not None and faults.touches_function:
            self.fast_form = None
            self.breakage = Breakage(self, faults)
            self.breakage.break_weights()

    def _rest(self, probes: Sequence[Probe]) -> None:
        """Make everything that a run changes: state before the first step, empty records, room to work in."""
        self.record = Record(probes={p: [] for p in probes})
        self.step_hooks: list[Callable[[Simulation], None]] = []
        cells = self.layout.cells
        self.state = State(0, [c.initial.copy() for c in cells], [_ring(c) for c in cells])
        n = self.layout.n_neurons
        self.active_of_neuron = np.zeros(n, np.int64)
        self.saturated_of_neuron = np.zeros(n, np.int64)
        self._ids, self._payload = np.empty(n, np.int32), np.empty(n, np.int32)
        self.events: tuple[I32, I32] = (self._ids[:0], self._payload[:0])
        self._graded = any(self.layout.graded)
        self._out = [np.zeros(c.size, np.int32) for c in cells]
        self._acc = [np.zeros((len(c.model.ports), c.size), np.int32) if c.wide else None for c in cells]
        self._before: list[I32 | None] = [None] * len(cells)  # states before an update, to know who saturated in it
        self._saturated = np.zeros(max((c.size for c in cells), default=0), np.int64)
        self._active = [self.active_of_neuron[c.first : c.first + c.size] for c in cells]

    def twin(self) -> Simulation:
        """Make a simulation of the same program at rest, which shares all that a run without learning leaves as it is."""
        other = copy(self)
        other._rest(list(self.record.probes))
        return other

    def advance(self, inputs: SpikeTrain, steps: int) -> None:
        """Run `steps` steps with these inputs (silence where the train ends early).

        Raises:
            InputError: inputs of the wrong width, out of time order or with bad payloads.
            SaturationError: a word saturated and the run is strict.
        """
        if steps < 0:
            raise InputError("steps", f"is {steps}", "Give 0 or more")
        check_inputs(inputs, self.layout)
        if inputs.payload is not None and not self._graded_inputs:
            raise InputError("inputs", "carry payloads, but the simulation was set up for binary inputs")
        if self.fast_form is not None and not self.step_hooks:
            form, count = self.fast_form, self._count_active
            if isinstance(form, Large):
                advance_large(self, form, inputs, steps, count)
            else:
                advance_plain(self, form, inputs, steps, count)
            return
        self._foresee(steps)
        drives = {k: split_inputs(inputs, c, steps) for k, c in enumerate(self.layout.cells) if c.model.kernel is None}
        for t in range(steps):
            self._one_step(drives, t)

    def reset(self) -> None:
        """Put every dynamic state back to its initial value (a counted operation); time and random keys go on."""
        for k, c in enumerate(self.layout.cells):
            self.state.words[k][:] = c.initial
            self.state.rings[k][:] = 0
        self.record.resets.append(self.state.step)

    def restart(self) -> None:
        """Go back to before the first step: time, state, counts and recorded events. Weights stay as they are."""
        cells = self.layout.cells
        self.state = State(0, [c.initial.copy() for c in cells], [_ring(c) for c in cells])
        self.record = Record(probes={p: [] for p in self.record.probes})
        self.active_of_neuron[:] = 0
        if self.breakage is not None:
            self.breakage.forget()
        self.saturated_of_neuron[:] = 0

    def weights(self, projection: str) -> AnyInts:
        """Return the weights of a projection, as they are now; a view that may be written to between steps and in hooks."""
        s = self._synapses(projection)
        if projection not in self.changeable:  # they are still the program's own
            self.changeable.add(projection)
            s = replace(s, weights=s.weights.copy())
            changed = tuple(s if old.name == projection else old for old in self.layout.synapses)
            self.layout = replace(self.layout, synapses=changed)
            self._widen(s.target)
        self.fast_form = None  # it holds a copy
        return s.weights

    def delays(self, projection: str, most: int) -> I32:
        """Give each synapse of a projection a delay of its own, 0 to `most` steps, that may be written to as its weight may.

        A changed delay holds for spikes sent from the next step on.
        """
        self.weights(projection)
        s = self._synapses(projection)
        own = replace(s, delays=np.full(s.weights.size, s.delay, np.int32))
        assert own.delays is not None
        changed = tuple(own if old is s else old for old in self.layout.synapses)
        k, c = s.target, self.layout.cells[s.target]
        longer = replace(c, ring_steps=max(c.ring_steps, most + 1))
        ring, old_ring, now = _ring(longer), self.state.rings[k], self.state.step
        for later in range(now, now + c.ring_steps):
            ring[later % longer.ring_steps] = old_ring[later % c.ring_steps]
        self.state.rings[k] = ring
        cells = tuple(longer if old is c else old for old in self.layout.cells)
        self.layout = replace(self.layout, synapses=changed, cells=cells)
        return own.delays

    def _widen(self, k: int) -> None:
        """Widen the sums of a population to 64 bits: its weights may change, so that what may arrive is not known."""
        c = self.layout.cells[k]
        if not c.wide:
            wide = replace(c, bound=2**31)
            cells = tuple(wide if old is c else old for old in self.layout.cells)
            self.layout = replace(self.layout, cells=cells)
            self.state.rings[k] = self.state.rings[k].astype(np.int64)
            self._acc[k] = np.zeros((len(c.model.ports), c.size), np.int32)

    def arriving(self, population: int) -> AnyInts:
        """Return the sums that a population (by number) gets in the step to come, [ports, n]; a view."""
        ring = self.state.rings[population]
        view: AnyInts = ring[self.state.step % len(ring)]
        return view

    def _synapses(self, name: str) -> Synapses:
        for s in self.layout.synapses:
            if s.name == name:
                return s
        raise InputError(f"projection {name!r}", "is not in the program", f"{[s.name for s in self.layout.synapses]}")

    def _foresee(self, steps: int) -> None:
        """Refuse probes that could not be held: each value is kept twice at the end, as recorded and as one array."""
        width = sum(self.layout.cells[k].size for _, k, _ in self._probed)
        need = 8 * steps * width
        if need < 1 << 20:
            return
        check_memory(
            need,
            f"probes of {steps:,} steps",
            f"{width:,} values a step",
            "Probe fewer populations, or run in parts with checkpoints",
        )

    def _find_probe(self, probe: Probe) -> tuple[int, int]:
        population, state = probe
        self.layout.program.population(population)
        k = [c.name for c in self.layout.cells].index(population)
        names = [w.name for w in self.layout.cells[k].model.states]
        if state not in names:
            raise InputError(f"probe {population}.{state}", "names no state word", f"States: {names}")
        return k, names.index(state)

    def _one_step(self, drives: dict[int, Drive], t: int) -> None:
        if self.breakage is not None:
            self.breakage.upset()
        ends, at, active, saturated = [0], 0, 0, 0
        for k, c in enumerate(self.layout.cells):
            if c.model.kernel is None:
                at = self._take_inputs(drives[k], t, at)
            else:
                at, n_active, n_saturated = self._update(k, c, at)
                active += n_active
                saturated += n_saturated
            ends.append(at)
        self._send(ends)
        self.events = self._ids[:at], self._payload[:at]
        self._remember(at, active, saturated)
        self.state.step += 1
        for hook in self.step_hooks:
            hook(self)

    def _take_inputs(self, drive: Drive, t: int, at: int) -> int:
        lo, hi = drive.ptr[t], drive.ptr[t + 1]
        ids, payload = drive.ids[lo:hi], drive.payload[lo:hi]
        if self.breakage is not None:
            alive = ~self.breakage.dead[ids]
            ids, payload = ids[alive], payload[alive]
        end = at + ids.size
        self._ids[at:end] = ids
        self._payload[at:end] = payload
        return end

    def _update(self, k: int, c: Cells, at: int) -> tuple[int, int, int]:
        assert c.model.kernel is not None
        slot = self.state.rings[k][self.state.step % c.ring_steps]
        acc, summed, counts = self._acc[k], 0, self._saturated[: c.size]
        if acc is None:
            acc = slot
        else:
            summed = narrow(slot, acc, counts)
        out, words, before = self._out[k], self.state.words[k], self._before[k]
        if before is None:
            before = self._before[k] = np.empty_like(words)
        before[:] = words
        key = self.state.step, self.seed, c.first
        updated = c.model.kernel(acc, words, c.params, c.table, out, 0, c.size, *key)
        if updated:
            add_saturated(c, acc, before, c.params, *key, updated, counts)
        if self.breakage is not None:
            dead = self.breakage.dead[c.first : c.first + c.size]
            out[dead] = counts[dead] = 0
            words[:, dead] = c.initial[:, dead]
        limit = 1 if c.model.emits == "binary" else PAYLOAD_MAX
        at, active, clipped = collect(acc, out, c.first, limit, self._ids, self._payload, at, self._active[k])
        if clipped:
            add_clipped(out, limit, counts)
        saturated = self._count_saturation(k, c.first, counts) if summed or updated or clipped else 0
        return at, active, saturated

    def _send(self, ends: list[int]) -> None:
        step = self.state.step
        lost = None if self.breakage is None else self.breakage.packets(self._ids[: ends[-1]])
        for k, (lo, hi) in enumerate(itertools.pairwise(ends)):
            if lo == hi:
                continue
            c = self.layout.cells[k]
            for j in self.layout.by_source[k]:
                s = self.layout.synapses[j]
                slots = self.layout.cells[s.target].ring_steps
                acc = self.state.rings[s.target][(step + 1 + s.delay) % slots, s.port, s.first :]
                ids, payload = self._ids[lo:hi], self._payload[lo:hi]
                if s.delays is not None:
                    ring = self.state.rings[s.target][:, :, s.first :]
                    scatter_delayed(
                        ids, payload if self.layout.graded[k] else np.ones_like(ids), c.first, s.indptr, s.indices,
                        s.weights, s.exponent, s.delays, step + 1, ring, s.port,
                    )  # fmt: skip
                elif self.breakage is not None and lost is not None:
                    self.breakage.scatter(s, c.first, ids, payload, lost[lo:hi], acc)
                elif s.row is not None and s.offset is not None:
                    scatter_shared(
                        ids, payload, c.first, s.row, s.offset, s.indptr, s.indices, s.weights, s.exponent, acc
                    )
                elif self.layout.graded[k]:
                    scatter_graded(ids, payload, c.first, s.indptr, s.indices, s.weights, s.exponent, acc)
                else:
                    scatter_binary(ids, c.first, s.indptr, s.indices, s.weights, s.exponent, acc)

    def _count_saturation(self, k: int, first: int, counts: I64) -> int:
        """Count the values that neurons (from id `first` on) had to saturate; returns how many, and clears `counts`.

        Raises:
            SaturationError: the run is strict.
        """
        n = int(counts.sum())
        if n and self.strict:
            worst = first + int(np.argmax(counts))
            core = int(self.layout.program.core[worst])
            raise SaturationError(
                f"population {self.layout.cells[k].name!r}",
                f"saturated {n} values in step {self.state.step} (most of them in neuron {worst} on core {core}), and the "
                "run is strict",
                "Widen the word, lower the weights, or run without strict to have it counted",
            )
        self.saturated_of_neuron[first : first + counts.size] += counts
        counts[:] = 0
        return n

    def _remember(self, n: int, active: int, saturated: int) -> None:
        r = self.record
        r.remember(self._ids[:n].copy(), self._payload[:n].copy() if self._graded else None)
        r.counts.append(n)
        r.active.append(active)
        r.saturated.append(saturated)
        for probe, k, row in self._probed:
            r.probes[probe].append(self.state.words[k][row].copy())


def _ring(c: Cells) -> Integers:
    return np.zeros((c.ring_steps, len(c.model.ports), c.size), np.int64 if c.wide else np.int32)
