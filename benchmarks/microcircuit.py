"""The Potjans-Diesmann microcircuit: rates beside the published ones and Brian2's, real-time factor, energy per event.

    python -m benchmarks microcircuit                     a tenth, 1 s of biology, beside a float network in Brian2
    python -m benchmarks.microcircuit SCALE SECONDS       any scale; 1 takes 2 GB

Energy is that of SpiNNaker 1 with 80 neurons a core: simulated counts times the chip file's constants, and the idle power of
the boards as in docs/silicon.md (12 boards of 48 chips, real time). Measured there: 0.6 uJ a synaptic event (Rhodes et al. 2019),
at full scale. Brian2 computes the float neurons with true Poisson input, spread delays and wiring of its own: rates compare,
spikes do not.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from bimhw.models.networks import microcircuit_tables as published
from bimhw.models.networks.microcircuit import potjans_diesmann, rates_hz
from energy_models.chip_energy import chip_energy
from simulator.chips.load import load_chip
from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.run import recorded_spikes, tally_of
from simulator.program.program import Program

SKIP_MS = 200.0
NEURONS_PER_CORE = 80
CORES_PER_BOARD = 64  # the chip file's board of 4 chips
IDLE_BOARDS = 144  # 12 boards of 48 chips
IDLE_WATT = 2.67


def chip_run(scale: float, seconds: float) -> dict[str, Any]:
    """Rates, wall and CPU seconds and energy of one run in the chip's integers."""
    steps = round(seconds * 10_000)
    began = time.process_time()
    network = potjans_diesmann(scale, steps=steps + 1)
    assert network.inputs is not None
    made = time.process_time() - began
    size = network.n_neurons
    boards = -(-size // (NEURONS_PER_CORE * CORES_PER_BOARD))
    chip = load_chip("spinnaker1" if boards == 1 else f"spinnaker1-x{boards}")
    core = (np.arange(size) // NEURONS_PER_CORE).astype(np.int32)
    program = Program("", "", network.populations, network.projections, core)
    simulation = Simulation(program, graded_inputs=False, count_active=False)
    simulation.advance(network.inputs, 1)  # loads the kernels
    wall, cpu = time.perf_counter(), time.process_time()
    simulation.advance(network.inputs, steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    spikes = recorded_spikes(simulation.record)
    activity = Counter(program, chip.topology).activity(spikes, tally_of(simulation))
    events, dynamic = activity.total("synaptic_events"), chip_energy(activity, chip, program).energy_pj("dynamic")
    return {
        "rates": rates_hz(network, spikes, min(SKIP_MS, 500 * seconds)),
        "synapses": network.n_synapses,
        "neurons": size,
        "made_s": made,
        "wall_s": wall,
        "cpu_s": cpu,
        "events": events,
        "dynamic_nj": dynamic / events / 1e3,
        "idle_nj": IDLE_BOARDS * IDLE_WATT * seconds / events * 1e9,
    }


def brian2_rates(scale: float, seconds: float, seed: int = 5) -> list[float]:
    """Rates of the float network by Brian2's exact integration, made from the published tables alone."""
    import brian2 as b2

    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * b2.ms
    b2.seed(seed)
    rng = np.random.default_rng(seed)
    sizes = np.rint(published.SIZES * scale).astype(int)
    first = np.concatenate([[0], np.cumsum(sizes)])
    per_neuron = published.synapse_numbers() / published.SIZES[:, None]
    picoampere = 87.8
    inhibitory = np.array([name.endswith("I") for name in published.POPULATIONS])
    weights = np.where(inhibitory, -4 * picoampere, picoampere) * np.ones((8, 8))
    weights[0, 2] *= 2
    into = (weights * per_neuron) @ published.RATES + picoampere * published.EXTERNAL_SYNAPSES * 8
    constant = 0.0005 * (1 - np.sqrt(scale)) * into  # tau_syn in s x pA/s
    cells = b2.NeuronGroup(
        sizes.sum(),
        """dv/dt = -v / (10*ms) + (current + constant) / (250*pF) : volt (unless refractory)
        dcurrent/dt = -current / (0.5*ms) : amp
        constant : amp""",
        threshold="v > 15*mV", reset="v = 0*mV", refractory=2 * b2.ms, method="exact",
    )  # fmt: skip
    start = np.repeat(published.INITIAL_MV - published.REST_MV, sizes)
    cells.v = rng.normal(start, np.repeat(published.INITIAL_SPREAD_MV, sizes)) * b2.mV
    cells.constant = np.repeat(constant, sizes) * b2.pA
    pairs = []
    for (t, s), mean in np.ndenumerate(per_neuron * scale):
        k = round(mean * sizes[t])
        w = weights[t, s] / np.sqrt(scale) * (1 + 0.1 * rng.standard_normal(k))
        delay = (0.75 if inhibitory[s] else 1.5) * (1 + 0.5 * rng.standard_normal(k))
        pairs.append((rng.integers(0, sizes[s], k) + first[s], rng.integers(0, sizes[t], k) + first[t], w, delay))
    source, target, w, delay = (np.concatenate(part) for part in zip(*pairs, strict=True))
    synapses = b2.Synapses(cells, cells, "w : amp", on_pre="current += w")
    synapses.connect(i=source, j=target)
    synapses.w = w * b2.pA
    synapses.delay = np.maximum(delay, 0.1) * b2.ms
    outside = [
        b2.PoissonInput(
            cells[first[k] : first[k + 1]], "current", round(n * scale), 8 * b2.Hz, picoampere / np.sqrt(scale) * b2.pA
        )
        for k, n in enumerate(published.EXTERNAL_SYNAPSES)
    ]
    monitor = b2.SpikeMonitor(cells)
    b2.Network(cells, synapses, outside, monitor).run(seconds * b2.second)
    late = np.asarray(monitor.i)[np.asarray(monitor.t / b2.ms) >= SKIP_MS]
    counts = np.bincount(late, minlength=sizes.sum())
    return [float(part.mean() / (seconds - SKIP_MS / 1000)) for part in np.split(counts, first[1:-1])]


def main(scale: float = 0.1, seconds: float = 1.0) -> None:
    """Print a line a population, then speed and energy."""
    done = chip_run(scale, seconds)
    try:
        beside = brian2_rates(scale, seconds) if scale <= 0.2 else None
    except ImportError:
        beside = None
    print(f"scale {scale:g}: {done['neurons']:,} neurons, {done['synapses']:,} synapses, {seconds:g} s of biology")
    for k, name in enumerate(published.POPULATIONS):
        twin = "" if beside is None else f", Brian2 at this scale {beside[k]:.2f}"
        print(f"{name:5s} {done['rates'][name]:6.2f} spikes/s; full scale, published {published.RATES[k]:.2f}{twin}")
    print(
        f"made in {done['made_s']:.1f} CPU s; {done['cpu_s'] / seconds:.1f} CPU s ({done['wall_s'] / seconds:.1f} wall s) "
        "a second of biology on one thread"
    )
    both = (done["dynamic_nj"] + done["idle_nj"]) / 1e3
    total = f", {both:.2f} uJ with idle boards in real time; measured 0.6 uJ (real time)" if scale == 1 else ""
    print(f"{done['events']:,} synaptic events; SpiNNaker 1: {done['dynamic_nj']:.0f} nJ of dynamic energy each{total}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:3]))
