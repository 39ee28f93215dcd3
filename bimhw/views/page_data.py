"""Data that the scripts of the report draw: cores, spikes, timeline; typed, and embedded in the page as JSON."""

from __future__ import annotations

import msgspec
import numpy as np

from bimhw.costs.result import Energy
from bimhw.runs.copies import rounds_of
from bimhw.runs.folder import RunFolder, rates_of_run
from mapping.view import view_mapping
from simulator.chips.chip import Chip
from simulator.neurons.base import get
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.contract import link_name
from simulator.timing.run import run_timing
from simulator.timing.terms import step_terms
from simulator.timing.trace.records import Trace, trace_of

MOST_SPIKES = 40_000
MOST_STEPS = 24  # of the timeline
MOST_ROWS = 40  # cores, and links, of the timeline: the busiest


class CoreFacts(msgspec.Struct, frozen=True):
    """One core that holds neurons; energies in pJ and waits in ns, None where they are not known."""

    core: int
    router: tuple[int, int]
    neurons: int
    populations: str
    load: float
    binding: str
    sent: float
    received: float
    spikes: int
    updates: int
    synops: int
    energy_pj: float | None
    busy: float | None = None
    mean_wait_ns: float | None = None
    longest_wait_ns: float | None = None


class Band(msgspec.Struct, frozen=True):
    """A population of the raster: ids first .. first + size - 1."""

    name: str
    first: int
    size: int


class Raster(msgspec.Struct, frozen=True):
    """Spikes of the first steps: parallel lists of step and neuron."""

    bands: list[Band]
    steps: int
    sample_steps: int
    step: list[int]
    neuron: list[int]
    whole: bool


class Bar(msgspec.Struct, frozen=True):
    """A stretch of work: row, start and end in ns."""

    row: int
    start: float
    end: float


class Timeline(msgspec.Struct, frozen=True):
    """The first steps: when they begin, what binds them, and the work of the busiest cores and links.

    The bars of a link have the length of its busy time and begin with the step, since only sums are kept of links.
    """

    release_ns: list[float]
    step_ns: list[float]
    binds: list[str]
    rows: list[str]
    bars: list[Bar]


class PageData(msgspec.Struct, frozen=True):
    """Data of one run's page."""

    name: str
    cores: list[CoreFacts]
    raster: Raster
    timeline: Timeline | None = None


def page_data(run: RunFolder, costs: Energy) -> PageData:
    """Collect what the page draws of a run."""
    program, chip, spikes = run.program(), run.chip(), run.spikes()
    raster = _raster(program, spikes, spikes.steps // rounds_of(program, run.manifest["samples"]))
    if chip.timing is None:
        return PageData(run.path.name, _cores(run, program, chip, costs, {}), raster)
    first = _first(spikes, MOST_STEPS)
    timed = run_timing(program, chip, first, keep=range(first.steps))
    trace = trace_of(timed, first)
    binds = step_terms(program, chip, first).binding
    return PageData(
        run.path.name, _cores(run, program, chip, costs, _waits(trace)), raster, _timeline(trace, binds, chip)
    )


def _first(spikes: SpikeTrain, steps: int) -> SpikeTrain:
    last = min(steps, spikes.steps)
    end = int(spikes.ptr[last])
    return SpikeTrain(
        spikes.ptr[: last + 1], spikes.ids[:end], None if spikes.payload is None else spikes.payload[:end]
    )


def _cores(
    run: RunFolder, program: Program, chip: Chip, costs: Energy, waits: dict[int, tuple[float, float]]
) -> list[CoreFacts]:
    view, t = view_mapping(program, chip, rates_of_run(run)), chip.topology
    counts, timing = run.activity().counts, run.timing()
    energy = costs.report.by("core")
    ticks = 0 if timing is None else int(timing["step_ticks"].sum())
    out = []
    for c in np.nonzero(view.neurons)[0].tolist():
        spikes, updates, synops = (
            int(counts[name].by_core[c]) if name in counts else 0
            for name in ("spikes", "neuron_updates", "synaptic_events")
        )
        mean, longest = waits.get(c, (None, None))
        out.append(
            CoreFacts(
                c,
                divmod(c // t.cores_per_router, t.height),
                int(view.neurons[c]),
                view.populations[c],
                float(view.load[c]),
                view.binding[c],
                float(view.sent[c]),
                float(view.received[c]),
                spikes,
                updates,
                synops,
                energy.get(str(c)),
                float(timing["core_busy"][c]) / ticks if timing is not None and ticks else None,
                mean,
                longest,
            )
        )
    return out


def _raster(program: Program, spikes: SpikeTrain, sample_steps: int) -> Raster:
    """Return whole steps from the first on, at most `MOST_SPIKES` spikes."""
    shown = max(1, int(np.searchsorted(spikes.ptr, MOST_SPIKES, side="right")) - 1)
    shown = min(shown, spikes.steps)
    end = int(spikes.ptr[shown])
    step = np.repeat(np.arange(shown), np.diff(spikes.ptr[: shown + 1]))
    first = program.first_ids()
    spiking = [p for p in program.populations if get(p.model).emits != "none"]
    bands = [Band(p.name, int(first[p.name]), p.size) for p in spiking]
    return Raster(bands, shown, sample_steps, step.tolist(), spikes.ids[:end].tolist(), shown == spikes.steps)


def _waits(trace: Trace) -> dict[int, tuple[float, float]]:
    """Return the mean and longest wait of a message between arrival and service, by core [ns]."""
    wait = (trace.stamps[:, 3] - trace.stamps[:, 2]).astype(np.float64) * trace.tick_ns
    n = np.bincount(trace.target)
    total, longest = np.bincount(trace.target, wait), np.zeros(n.size)
    np.maximum.at(longest, trace.target, wait)
    return {c: (float(total[c] / n[c]), float(longest[c])) for c in np.nonzero(n)[0].tolist()}


def _timeline(trace: Trace, binds: list[str], chip: Chip) -> Timeline:
    tick, height = trace.tick_ns, chip.topology.height
    work = np.maximum(0, trace.soma_end - trace.soma_start)
    cores = np.argsort(-work.sum(axis=0), kind="stable")[:MOST_ROWS]
    cores = np.sort(cores[work.sum(axis=0)[cores] > 0])
    rows, bars = [], []
    for row, c in enumerate(cores.tolist()):
        rows.append(f"core {int(trace.cores[c])}")
        for s in np.nonzero(work[:, c])[0].tolist():
            bars.append(
                Bar(row, round(float(trace.soma_start[s, c]) * tick, 1), round(float(trace.soma_end[s, c]) * tick, 1))
            )
    links = trace.link_busy[:, :, : 4 * chip.topology.networks]
    flat = links.reshape(links.shape[0], -1)
    top = np.argsort(-flat.sum(axis=0), kind="stable")[: MOST_ROWS // 2]
    for k in top[flat.sum(axis=0)[top] > 0].tolist():
        router, port = divmod(k, links.shape[2])
        rows.append(f"link {router // height},{router % height} {link_name(port)}")
        for s in np.nonzero(flat[:, k])[0].tolist():
            start = float(trace.release[s]) * tick
            bars.append(Bar(len(rows) - 1, round(start, 1), round(start + float(flat[s, k]) * tick, 1)))
    return Timeline((trace.release * tick).tolist(), (trace.ticks * tick).tolist(), binds, rows, bars)
