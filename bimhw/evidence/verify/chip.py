"""Checks of the simulator: engines among each other, integers against plain Python, closed forms, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bimhw.evidence.verify.check import Setting
from bimhw.runs.execute import execute
from bimhw.runs.request import How, Request
from simulator.base.arrays import I32, I64
from simulator.base.names import INPUT_MODEL
from simulator.function import Simulation
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def random_program(seed: int, model: str = "loihi_cuba", n: int = 40, cores: int = 4) -> tuple[Program, SpikeTrain]:
    """Return a recurrent integer network with delays on a few cores, and its input."""
    rng = np.random.default_rng(seed)
    params: dict[str, I32] = {"dv": np.array(500), "vth": np.array(300)}
    if model == "loihi_cuba":
        params = {"du": np.array(900), "dv": np.array(300), "vth": np.array(200), "noise_target": np.array(1)}
        params["noise_exp"] = np.array(10)
    populations = (Population("in", INPUT_MODEL, 8, role="input"), Population("a", model, n, params, layer=1))
    up = dense_to_csr(rng.integers(-20, 90, (n, 8)).astype(np.int8))
    back = dense_to_csr(rng.integers(-30, 30, (n, n)).astype(np.int8))
    delays = (0, 0) if model == "lif" else (4, 9)
    projections = (
        Projection("up", "in", "a", "in", *up, delay=delays[0]),
        Projection("back", "a", "a", "in", *back, delay=delays[1]),
    )
    core = np.concatenate([np.full(8, -1), rng.integers(0, cores, n)]).astype(np.int32)
    return Program("", "", populations, projections, core), SpikeTrain.from_dense(
        (rng.random((80, 8)) < 0.4).astype(np.int32)
    )


def engines(setting: Setting) -> float:
    """Count messages or cores whose times differ between the clocked, SimPy and compiled engines."""
    from simulator.timing.cases import random_case
    from simulator.timing.clocked import run_clocked
    from simulator.timing.compiled import run_compiled
    from simulator.timing.simpy_timing import run_simpy

    wrong = 0
    for seed in setting.cases(40, 600):
        mesh, work = random_case(seed)
        truth = run_clocked(mesh, work)
        for other in (run_simpy(mesh, work), run_compiled(mesh, work)):
            wrong += int((other.stamps != truth.stamps).any(axis=1).sum())
            wrong += int((other.soma_end != truth.soma_end).sum())
    return float(wrong)


def bound(setting: Setting) -> float:
    """Return the ticks by which the lower bound exceeds the clocked engine, in the worst case."""
    from simulator.timing.barrier import quiet_times, release_time
    from simulator.timing.bound import release_bound
    from simulator.timing.cases import random_case
    from simulator.timing.clocked import run_clocked

    worst = 0
    for seed in setting.cases(20, 200):
        mesh, work = random_case(seed)
        late = release_time(mesh, quiet_times(work, run_clocked(mesh, work)))
        worst = max(worst, release_bound(mesh, work) - late)
    return float(worst)


def loihi(setting: Setting) -> float:
    """Count neuron-steps at which the Loihi CUBA-LIF kernel differs from the published rules in plain Python integers."""
    wrong = 0
    for seed in setting.cases(5, 50):
        program, inputs = random_program(seed)
        quiet = replace(
            program.populations[1], params=dict(program.populations[1].params) | {"noise_target": np.array(0)}
        )
        program = replace(program, populations=(program.populations[0], quiet))
        done = execute(Request(program, [inputs], None, 80, (("a", "u"), ("a", "v")), How("none")))
        u, v, out = _loihi_in_python(program, inputs, 80)
        wrong += int((done.probes["a", "u"][0] != u).sum() + (done.probes["a", "v"][0] != v).sum())
        wrong += int((done.spikes[0].to_dense(8, quiet.size) != out).sum())
    return float(wrong)


def _loihi_in_python(program: Program, inputs: SpikeTrain, steps: int) -> tuple[I64, ...]:
    """Compute u[t] = trunc(u (4096 - (du + 1)) / 4096) + 64 sum(w), 24-bit wrap; v[t] = trunc(v (4096 - dv) / 4096) + u, clipped;
    fires if v > 64 vth."""
    p = program.populations[1]
    n, params = p.size, {k: int(x) for k, x in p.params.items()}
    arriving = np.zeros((steps + 80, n), np.int64)
    u, v = [0] * n, [0] * n
    record = np.zeros((3, steps, n), np.int64)
    dense_in = inputs.to_dense(0, 8)
    for t in range(steps):
        for i in range(n):
            u[i] = _decay(u[i], 4096 - params["du"] - 1) + 64 * int(arriving[t, i])
            u[i] = (u[i] + 2**23) % 2**24 - 2**23
            v[i] = max(-(2**23 - 1), min(2**23 - 1, _decay(v[i], 4096 - params["dv"]) + u[i]))
            if v[i] > 64 * params["vth"]:
                record[2, t, i], v[i] = 1, 0
            record[0, t, i], record[1, t, i] = u[i], v[i]
        for q, fired in zip(program.projections, (dense_in[t], record[2, t]), strict=True):
            for s in np.flatnonzero(fired):
                row = slice(q.indptr[s], q.indptr[s + 1])
                np.add.at(arriving[t + 1 + q.delay], q.targets[row], q.weights[row])
    return record[0], record[1], record[2]


def _decay(x: int, keep: int) -> int:
    return (abs(x) * keep >> 12) * (1 if x >= 0 else -1)


def mapping(setting: Setting) -> float:
    """Count spikes that change when the network is mapped otherwise, or its steps are cut into chunks."""
    wrong = 0
    for seed in setting.cases(4, 30):
        program, inputs = random_program(seed)
        whole = _spikes(program, inputs, 100, seed)
        moved = np.where(program.core < 0, -1, (program.core * 7 + 3) % 11).astype(np.int32)
        other = _spikes(replace(program, core=moved), inputs, 100, seed)
        simulation = Simulation(program, seed=seed, probes=(), strict=False)
        for first, last in ((0, 1), (1, 31), (31, 100)):
            simulation.advance(_from(inputs, first), last - first)
        chunks = np.concatenate([*simulation.record.ids, np.empty(0, np.int32)])
        wrong += int(whole.spike_hash() != other.spike_hash()) + int(not np.array_equal(whole.ids, chunks))
    return float(wrong)


def _spikes(program: Program, inputs: SpikeTrain, steps: int, seed: int) -> SpikeTrain:
    return execute(Request(program, [inputs], None, steps, how=How("none", seed))).joined


def _from(inputs: SpikeTrain, step: int) -> SpikeTrain:
    step = min(step, inputs.steps)
    return SpikeTrain(inputs.ptr[step:] - inputs.ptr[step], inputs.ids[inputs.ptr[step] :])


def threads(setting: Setting) -> float:
    """Count the steps whose time changes with two threads."""
    from simulator.timing.cases import random_mesh, random_work
    from simulator.timing.compiled import run_compiled

    rng = setting.rng()
    mesh = random_mesh(rng)
    works = [random_work(mesh, rng, 100) for _ in range(40)]
    alone = [run_compiled(mesh, w).stamps for w in works]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda w: run_compiled(mesh, w).stamps, works))
    return float(sum(not np.array_equal(a, b) for a, b in zip(alone, together, strict=True)))


def checkpoint(setting: Setting) -> float:
    """Count spikes that change when a run is cut at a random step, saved, and resumed from the file."""
    import tempfile
    from pathlib import Path

    from simulator.function.checkpoint import load_checkpoint, save_checkpoint

    wrong = 0
    for seed in setting.cases(3, 20):
        program, inputs = random_program(seed)
        whole = _spikes(program, inputs, 100, seed)
        cut = int(np.random.default_rng(seed).integers(1, 99))
        first = Simulation(program, seed=seed, probes=(), strict=False)
        first.advance(inputs, cut)
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(first, Path(folder) / "c")
            second = Simulation(program, seed=seed, probes=(), strict=False)
            load_checkpoint(second, Path(folder) / "c")
        second.advance(_from(inputs, cut), 100 - cut)
        wrong += int(not np.array_equal(whole.ids, np.concatenate([*second.record.ids, np.empty(0, np.int32)])))
    return float(wrong)


def spike_hash(setting: Setting) -> float:
    """Return 1 if the spikes of a network written down in this file are not those saved with it (first 16 digits of sha256)."""
    program, inputs = random_program(12345, "lif")
    return float(_spikes(program, inputs, 80, 0).spike_hash() != SAVED_HASH)


SAVED_HASH = "55a5369076564378"


def energy_closed_form(setting: Setting) -> float:
    """Return the largest relative error of energies against count x constant written out for a plain network."""
    from energy_models.chip_energy import chip_energy, counters
    from simulator.chips.load import load_chip
    from simulator.program.activity import Activity

    rng = setting.rng()
    worst = 0.0
    names = ("synaptic_events", "neuron_updates", "spikes", "packets", "hops_ew", "hops_ns")
    for _ in range(20):
        n = dict(zip(names, rng.integers(1, 10**7, 6).tolist(), strict=True))
        n["neuron_updates_active"] = n["neuron_updates"]
        activity = Activity(counters(n), 1, 1, ("network",))
        report = chip_energy(activity, load_chip("loihi1-fitted"))
        expected = 33.6 * n["synaptic_events"] + 72.8 * n["neuron_updates"] + 69.3 * n["spikes"] + 111 * n["packets"]
        expected += 3.0 * n["hops_ew"] + 4.2 * n["hops_ns"]
        worst = max(worst, abs(report.energy_pj("dynamic") - expected) / expected)
    return worst
