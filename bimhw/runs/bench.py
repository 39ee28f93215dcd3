"""`bench`: run a plain network file on a chip and say what it did, what it would cost there, and how fast it ran here."""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bimhw.compiler.integer import RATE_STEPS, spike_rates
from bimhw.frontends.npz import PlainNet, read_plain
from bimhw.runs.execute import execute, time_run
from bimhw.runs.long_run import CHUNK_STEPS, LongRun, run_long
from bimhw.runs.request import How, Request, Sync
from energy_models.chip_energy import chip_energy
from energy_models.spread import UNKNOWN, spread
from energy_models.times import time_ratios, time_word
from mapping.files import program_as_given
from mapping.limits import check_capabilities
from mapping.objective import DEFAULT
from simulator.base.errors import InputError, unknown_name
from simulator.base.misplaced import check_no_run_folder
from simulator.base.names import INPUT_MODEL
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.large import useful_threads
from simulator.function.run import recorded_spikes, tally_of
from simulator.program.faults import Faults
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Engine = Literal["compiled", "clocked", "simpy", "bound", "none"]


@dataclass(frozen=True, repr=False)
class BenchResult(Shown):
    """One bench run; CPU times are of all its threads, compilation apart.

    Attributes:
        net, chip, mapping, engine, steps, threads: what was run.
        neurons, synapses: of the network, external inputs included.
        spike_hash: of all events, `SpikeTrain.spike_hash`.
        reference: what the file says the hash is over its own number of steps, "" where it says nothing or the
            number of steps differs.
        spikes: events, external ones included.
        events: synaptic events (one synapse met by one spike).
        messages: packets, one per spike and destination core.
        function_cpu_s_per_1000: CPU seconds of 1000 steps of WHAT happens.
        function_wall_s_per_1000: the same by the clock on the wall, which several threads shorten.
        timing_cpu_s_per_1000: CPU seconds of 1000 steps of WHEN, None without an engine.
        build_s: CPU seconds from the opened file to a program ready to run.
        build_ns_per_synapse: the same without reading the file.
        synapse_bytes: bytes a synapse in the running form, row pointers apart.
        peak_rss_mb: largest memory of the process so far, MB (1e6 bytes).
        sim_time_us_per_step: simulated time, None without an engine.
        steps_timed: steps that the engine timed.
        sim_time_half_width_us: half of the 95 % confidence interval of a step, 0 where all were timed.
        saturations: values that left their word.
        faults: what the faults did, by counter; empty for a sound chip.
        sim_time_low_us_per_step, sim_time_high_us_per_step: with every time of the chip file at one end of its range.
        sim_time_trust: the weakest word of the times used: measured, fitted, scaled, assumed, unverified, unknown.
        energy_nj_per_step: dynamic energy on the chip (items whose constants are known), with `low`, `high` and `trust` alike.
    """

    net: str
    chip: str
    mapping: str
    engine: str
    steps: int
    threads: int
    neurons: int
    synapses: int
    spike_hash: str
    reference: str
    spikes: int
    events: int
    messages: int
    function_cpu_s_per_1000: float
    function_wall_s_per_1000: float
    timing_cpu_s_per_1000: float | None
    build_s: float
    build_ns_per_synapse: float
    synapse_bytes: float
    peak_rss_mb: float
    sim_time_us_per_step: float | None
    steps_timed: int
    sim_time_half_width_us: float | None
    sim_time_low_us_per_step: float | None
    sim_time_high_us_per_step: float | None
    sim_time_trust: str
    energy_nj_per_step: float
    energy_low_nj_per_step: float
    energy_high_nj_per_step: float
    energy_trust: str
    saturations: int
    faults: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@refuses_ignored("bench")
def bench(
    path: Path | str,
    *,
    steps: int | None = None,
    engine: Engine = "compiled",
    mapping: str = "file",
    chip: str = "loihi1-fitted",
    threads: int = 1,
    repeats: int = 3,
    faults: Faults | None = None,
    timing_sample: float | None = None,
    objective: str = DEFAULT,
) -> BenchResult:
    """Run a plain network file (see `bimhw.frontends.npz`).

    Args:
        path: the .npz file.
        steps: by default as many as the file has external spikes for.
        engine: timing engine, or ``none`` for function only.
        mapping: ``file`` (its array ``core``) or ``auto``.
        chip: name or YAML file.
        threads: threads of the timing engine, and of the function where the network has 10 M synapses; the result is the same.
        repeats: function runs, the fastest of which is reported; more than `CHUNK_STEPS` steps are run once, in
            chunks that are forgotten.
        timing_sample: share of the steps to time; all by default.
        faults: what is broken on the chip; a chip that breaks while it runs is run once.
        objective: what the mapping ``auto`` minimises, as in `bimhw.compile`.

    Raises:
        InputError: a bad file, an unknown chip, engine, mapping or objective, no steps.
        FitError: a mapping that does not fit the chip.
    """
    hardware = load_chip(chip)
    sync = _sync(hardware, engine)
    how = How(engine, faults=faults or Faults(), threads=threads, timing_sample=timing_sample, sync=sync)
    _warm_up(hardware, engine)
    built = _build(path, hardware, mapping, how.faults, objective, threads)
    n_steps = built.net.inputs.steps if steps is None else steps
    if n_steps < 1:
        raise InputError("steps", f"is {n_steps}", "Give 1 or more")
    request = Request(built.program, [built.net.inputs], hardware, n_steps, how=how)
    timing = None if engine == "none" else _Timing(built.program, hardware, how)
    whole = n_steps <= CHUNK_STEPS or how.faults != Faults() or timing_sample is not None
    done = _whole(built, request, repeats, timing) if whole else _long(built, request, timing)
    return _result(Path(path).name, mapping, built, request, done, timing)


def _sync(chip: Chip, engine: Engine) -> Sync:
    """Return the synchronisation that a chip is timed with: barriers, or its neighbours where it has no barrier.

    Raises:
        InputError: a chip of ticks alone, whose period is the user's.
    """
    has = chip.capabilities.sync
    if engine == "none" or chip.timing is None or "barrier" in has:
        return "barrier"
    if "neighbour" in has:
        return "neighbour"
    way = "Use --engine none, or compile it and give a period: bimhw simulate --sync tick --period 1ms"
    raise InputError(f"chip {chip.name!r}", f"has no steps that end by themselves ({', '.join(has)})", way)


def _result(
    net: str, mapping: str, built: _Built, request: Request, done: LongRun, timing: _Timing | None
) -> BenchResult:
    """Return what is reported of a run."""
    hardware, steps, activity = request.chip, request.steps, done.activity
    assert hardware is not None
    timed, us = None if timing is None else timing.total, None if timing is None else timing.us_per_step(steps)
    report = chip_energy(activity, hardware, built.program)
    energy = spread([i for i in report.items if i.kind == "dynamic"])
    synapses, per_1000 = built.net.network.n_synapses, 1000 / steps
    return BenchResult(
        net=net,
        chip=hardware.name,
        mapping=mapping,
        engine=request.how.engine,
        steps=steps,
        threads=request.how.threads,
        neurons=built.program.n_neurons,
        synapses=synapses,
        spike_hash=done.spike_hash,
        reference=built.net.ref_hash if steps == built.net.inputs.steps else "",
        spikes=done.spikes,
        events=activity.total("synaptic_events"),
        messages=activity.total("packets") + activity.total("host_packets_in"),
        function_cpu_s_per_1000=done.seconds * per_1000,
        function_wall_s_per_1000=done.wall_s * per_1000,
        timing_cpu_s_per_1000=None if timed is None else timed.cpu_s * per_1000,
        build_s=built.read_s + built.build_s,
        build_ns_per_synapse=built.build_s / max(1, synapses) * 1e9,
        synapse_bytes=built.synapse_bytes / max(1, synapses),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        sim_time_us_per_step=us and us[1],
        steps_timed=0 if timed is None else timed.steps,
        sim_time_half_width_us=None if timed is None else timed.half_width_ns / 1000,
        sim_time_low_us_per_step=us and us[0],
        sim_time_high_us_per_step=us and us[2],
        sim_time_trust=UNKNOWN if us is None else time_word(hardware, built.program, learns=False),
        energy_nj_per_step=energy.nominal / steps / 1000,
        energy_low_nj_per_step=energy.low / steps / 1000,
        energy_high_nj_per_step=energy.high / steps / 1000,
        energy_trust=energy.word,
        saturations=activity.total("saturations"),
        faults={k: c.total for k, c in activity.counts.items() if k.startswith("fault_")},
    )


@dataclass(frozen=True)
class _Built:
    net: PlainNet
    program: Program
    simulation: Simulation
    read_s: float
    build_s: float

    @property
    def synapse_bytes(self) -> int:
        form = self.simulation.fast_form
        if form is not None:
            return form.synapse_bytes
        return sum(s.indices.nbytes + s.weights.nbytes for s in self.simulation.layout.synapses)


@dataclass(frozen=True)
class _Timed:
    cpu_s: float
    sim_time_ns: float
    steps: int
    half_width_ns: float


def _build(path: Path | str, chip: Chip, mapping: str, faults: Faults, objective: str, threads: int) -> _Built:
    check_no_run_folder(path)
    if Path(path).suffix != ".npz":
        way = f"Compile it (bimhw compile {path}) and run the program: bimhw simulate"
        raise InputError(str(path), "is not a plain network, which ends in .npz", way)
    start = time.thread_time()
    net = read_plain(path)
    read = time.thread_time()
    check_capabilities(net.network, chip)
    program = _map(net, chip, mapping, objective)
    simulation = Simulation(
        program, graded_inputs=False, count_active="neuron_update_active" in chip.energy, faults=faults,
        threads=useful_threads(program, threads),
    )  # fmt: skip
    return _Built(net, program, simulation, read - start, time.thread_time() - read)


def _map(net: PlainNet, chip: Chip, mapping: str, objective: str) -> Program:
    if mapping == "file":
        return program_as_given(net.network, chip)
    if mapping == "auto":
        from mapping.mapper import map_network

        rates = spike_rates(net.network, [net.inputs], min(RATE_STEPS, net.inputs.steps))
        return map_network(net.network, chip, rates=rates, relays=False, objective=objective).program
    raise unknown_name("mapping", mapping, ("file", "auto"))


def _run(simulation: Simulation, inputs: SpikeTrain, steps: int, repeats: int) -> tuple[float, float]:
    """Return the CPU and wall seconds of the fastest of some runs; the last one's record stays."""
    best = float("inf"), float("inf")
    if simulation.breakage is None:  # what breaks stays broken
        simulation.advance(inputs, 1)  # the form that this network takes is compiled or loaded here
    for _ in range(repeats):
        simulation.restart()
        wall, cpu = time.perf_counter(), time.process_time()
        simulation.advance(inputs, steps)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        best = min(best, (cpu, wall)) if simulation.threads == 1 else min(best, (cpu, wall), key=lambda b: b[1])
    return best


class _Timing:
    """Times runs, chunk after chunk, and adds them up."""

    def __init__(self, program: Program, chip: Chip, how: How) -> None:
        self.program, self.chip, self.how = program, chip, how
        self.total = _Timed(0.0, 0.0, 0, 0.0)
        self.ratios: tuple[float, float] | None = None

    def us_per_step(self, steps: int) -> tuple[float, float, float]:
        """Return the low, the nominal and the high time of a step [us]."""
        low, high = self.ratios or (1.0, 1.0)
        nominal = self.total.sim_time_ns / steps / 1000
        return low * nominal, nominal, high * nominal

    def add(self, spikes: SpikeTrain) -> None:
        """Time the steps of a train."""
        start, t = time.process_time(), self.total
        timed, sample = time_run(self.program, self.chip, spikes, self.how)
        cpu_s = time.process_time() - start
        if timed is None:
            what, way = f"needs times, and chip {self.chip.name!r} has none", "Use --engine none"
            raise InputError(f"engine {self.how.engine!r}", what, way)
        steps, half = (
            (spikes.steps, 0.0) if sample is None else (sample.steps.size, sample.half_width_ticks * timed.tick_ns)
        )
        self.ratios = self.ratios or time_ratios(self.program, self.chip, spikes)
        self.total = _Timed(t.cpu_s + cpu_s, t.sim_time_ns + timed.sim_time_ns, t.steps + steps, t.half_width_ns + half)


def _whole(built: _Built, request: Request, repeats: int, timing: _Timing | None) -> LongRun:
    once = request.how.faults.touches_function
    seconds = _run(built.simulation, built.net.inputs, request.steps, 1 if once else max(1, repeats))
    spikes = recorded_spikes(built.simulation.record)
    activity = _counter(request).activity(spikes, tally_of(built.simulation))
    if timing is not None:
        timing.add(spikes)
    return LongRun(*seconds, int(spikes.ids.size), spikes.spike_hash(), activity)


def _long(built: _Built, request: Request, timing: _Timing | None) -> LongRun:
    _run(built.simulation, built.net.inputs, 1, 1)  # compiled or loaded here
    each = (lambda spikes: None) if timing is None else timing.add
    return run_long(built.simulation, built.net.inputs, request.steps, _counter(request), each, CHUNK_STEPS)


def _counter(request: Request) -> Counter:
    return Counter(request.program, None if request.chip is None else request.chip.topology)


def _warm_up(chip: Chip, engine: Engine) -> None:
    """Load or compile the kernels on a network of two neurons, so that they are in no figure."""
    params = {"dv": np.array(512), "vth": np.array(0), "strict": np.array(1)}
    populations = (Population("in", INPUT_MODEL, 1, role="input"), Population("lif", "lif", 1, params))
    row = np.array([0, 1]), np.zeros(1, np.int32), np.array([1], np.int8)
    program = Program("", "", populations, (Projection("q", "in", "lif", "in", *row),), np.zeros(2, np.int32))
    train = SpikeTrain(np.array([0, 1]), np.zeros(1, np.int32))
    execute(Request(program, [train], chip, 2, how=How(engine, sync=_sync(chip, engine))))
