"""`bimhw.cross_check`: run a network here and in another simulator on the same input; return how far the two are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.evidence.crosscheck.brian import Target, TwinRun, run_brian
from bimhw.evidence.crosscheck.compare import Comparison, compare
from bimhw.evidence.crosscheck.inputs import Job, prepare
from bimhw.runs.execute import execute
from bimhw.runs.request import How, Request
from bimhw.runs.workers import side_by_side
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset, as_dataset
from bimhw.tasks.sources.text import Corpus
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.errors import unknown_name
from simulator.base.names import INPUT_MODEL
from simulator.base.needs import refuses_ignored
from simulator.neurons.base import get
from simulator.program.graph import Population
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

STATE_TOLERANCE = 1e-10  # relative to the largest value of the state, but at least absolute
AGAINST = ("brian2", "torch")
_STATE_MEMORY = 200_000_000  # recorded state values; above this only spikes are compared


def crosscheck_float(
    network: Network, inputs: Mapping[str, Floats], steps: int, target: Target = "numpy", twin: TwinRun | None = None
) -> Comparison:
    """Compare our float engine with Brian2: spikes must be equal, states within 1e-10 of their largest value.

    Args:
        network: float stage.
        inputs: input population -> values [T_in, n].
        steps: chip steps.
        target: Brian2's code generation.
        twin: Brian2's run of `twin_of`, where it is there already.
    """
    from mapping.float_run import record

    probes = _probes(network, steps)
    sent = [(p.name, "out") for p in network.populations if p.model != INPUT_MODEL]
    ours = record(network, {n: v[None] for n, v in inputs.items()}, steps, [*sent, *probes])
    twin = twin or twin_of(network, inputs, steps, target)
    flat = {n: ours[n, "out"][0] for n, _ in sent}
    graded = any(get(p.model).emits == "graded" for p in network.populations if p.model != INPUT_MODEL)
    return _compared(network, flat, {k: ours[k][0] for k in probes}, twin, 1e-9 if graded else 0.0)


def twin_of(network: Network, inputs: Mapping[str, Floats], steps: int, target: Target = "numpy") -> TwinRun:
    """Return Brian2's run of a float network with the states that a comparison needs."""
    return run_brian(network, inputs, steps, _probes(network, steps), target)


def crosscheck_program(
    program: Program, inputs: SpikeTrain, steps: int, target: Target = "numpy", seed: int = 0
) -> Comparison:
    """Compare the chip's integers with Brian2 computing the same integers in doubles: everything must be equal.

    Raises:
        InputError: a neuron model without an integer form for Brian2.
    """
    network = Network("integer", program.populations, program.projections, program.meta)
    first = program.first_ids()
    given = {
        p.name: inputs.to_dense(first[p.name], p.size).astype(np.float64)
        for p in program.populations
        if p.model == INPUT_MODEL
    }
    probes = _probes(network, steps)
    twin = run_brian(network, given, steps, probes, target)
    done = execute(Request(program, [inputs], None, steps, probes, How("none", seed)))
    (spikes,) = done.spikes
    ours = {
        p.name: spikes.to_dense(first[p.name], p.size).astype(np.float64)
        for p in program.populations
        if p.model != INPUT_MODEL
    }
    return _compared(network, ours, {k: v[0].astype(np.float64) for k, v in done.probes.items()}, twin, 0.0)


def has_integer_twin(program: Program) -> bool:
    """Return whether Brian2 can compute a program's integers: every model has the statements, and none draws noise."""
    own = [p for p in program.populations if p.model != INPUT_MODEL]
    return all(get(p.model).brian2_integer and not np.any(p.params.get("noise_target", 0)) for p in own)


def crosscheck_chip(
    program: Program,
    network: Network,
    inputs: Mapping[str, Floats],
    payloads: SpikeTrain,
    steps: int,
    twin: TwinRun | None = None,
) -> Comparison:
    """Compare the chip's integers with Brian2 running the *float* network: where they first part and how it goes on.

    Quantisation makes them differ; nothing here passes or fails.

    Args:
        program: integer, compiled from the network.
        network: float stage, with the same populations.
        inputs: input population -> real values [T_in, n].
        payloads: the same input in the chip's payloads.
        steps: chip steps.
        twin: Brian2's run of `twin_of`, where it is there already.
    """
    twin = twin or twin_of(network, inputs, steps)
    (spikes,) = execute(Request(program, [payloads], None, steps, how=How("none"))).spikes
    first = program.first_ids()
    spiking = _binary(program)
    ours = {p.name: spikes.to_dense(first[p.name], p.size).astype(np.float64) for p in spiking}
    theirs = {p.name: twin.out[p.name] for p in spiking}
    return compare(ours, theirs, {}, against="brian2 (float network)", stage="integer", tolerance=None)


def _binary(program: Program) -> list[Population]:
    """Return the populations whose spikes are comparable with a float network's: payloads are in units of the chip."""
    return [p for p in program.populations if p.model != INPUT_MODEL and get(p.model).emits == "binary"]


def _probes(network: Network, steps: int) -> list[tuple[str, str]]:
    on_chip = [p for p in network.populations if p.model != INPUT_MODEL]
    if steps * sum(p.size for p in on_chip) * 3 > _STATE_MEMORY:
        return []
    pairs = []
    for p in on_chip:
        model = get(p.model)
        words = {w.name for w in model.states} - {"wait"}
        names = model.float_states if network.stage == "float" else tuple(w.name for w in model.states)
        pairs += [(p.name, s) for s in names if s in words]
    return pairs


def _compared(
    network: Network,
    ours: Mapping[str, Floats],
    states: Mapping[tuple[str, str], Floats],
    twin: TwinRun,
    spike_tolerance: float,
) -> Comparison:
    layer = {p.name: p.layer for p in network.populations}
    theirs = {n: twin.out[n] for n in ours}
    pairs = {}
    for key, value in states.items():
        other = twin.states[key]
        scale = max(1.0, float(np.abs(value).max(initial=0.0)))
        start = layer[key[0]] if network.stage == "float" else 0
        pairs[key] = (value[start:] / scale, other[start:] / scale)
    tolerance = STATE_TOLERANCE if network.stage == "float" else 0.0
    return compare(
        ours,
        theirs,
        pairs,
        against="brian2",
        stage=network.stage,
        tolerance=tolerance,
        spike_tolerance=spike_tolerance,
    )


@refuses_ignored("crosscheck")
def cross_check(
    model: Any,
    *,
    against: str = "brian2",
    task: str | Task | Corpus | Dataset | None = None,
    data: Dataset | str | Path | object = None,
    samples: Sequence[int] = (0,),
    steps: int | None = None,
    rate: float = 0.1,
    seed: int = 0,
    target: Target = "numpy",
    source: str | Path | None = None,
    profile: str | None = None,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    sample: object = None,
    workers: int = 1,
) -> list[Comparison]:
    """Cross-check a model file, a network or a program, one comparison a sample.

    A program with its float model gives two or three: the float network, as the program reads it, must be equal in Brian2;
    so must the chip's integers where Brian2 can compute them; and the integers are reported beside the float network.

    Args:
        model: `.pt`, `.safetensors`, `.nir` (float network), `.bimhw` or `.npz` (integers), a module, a `Network` or a
            `Program`.
        against: ``brian2``; or ``torch``, the module of a trained model, which has neurons that Brian2 lacks.
        task: task whose test samples are the input; else random spikes of `rate`, or a `.npz` file's own.
        data: samples of your own instead: a `bimhw.Dataset`, or what `Dataset.open` reads.
        samples: indices of test samples.
        steps: chip steps; by default the sample's, or 200.
        rate: of random input spikes.
        seed: of random input.
        target: Brian2's code generation, numpy or cython.
        source: for a `.bimhw` file whose models Brian2 cannot compute in integers: the float model it came from.
        profile, dt, input_shape, sample: how a .nir file or a module is read, as in `bimhw.compile`.
        workers: processes that share the samples. The result is the same for any number.

    Raises:
        InputError: an unknown simulator, file, task or neuron model.
        MissingExtraError: Brian2 is not installed.
    """
    if against not in AGAINST:
        raise unknown_name("simulator", against, AGAINST, listed="Known")
    reading = {"profile": profile, "dt": dt, "input_shape": input_shape, "sample": sample}
    jobs = prepare(model, task if data is None else as_dataset(data), samples, steps, rate, seed, source, reading)
    if against == "torch":
        from bimhw.evidence.crosscheck.modules import crosscheck_torch

        return [crosscheck_torch(model if source is None else source, job, seed) for job in jobs]
    return [found for each in side_by_side(_checked, [(job, target, seed) for job in jobs], workers) for found in each]


def _checked(job: Job, target: Target, seed: int) -> list[Comparison]:
    """Return the comparisons of one job with Brian2."""
    if job.program is None:
        assert job.network is not None
        return [crosscheck_float(job.network, job.values, job.steps, target)]
    if job.network is None:
        return [crosscheck_program(job.program, job.train, job.steps, target, seed)]
    twin = twin_of(job.network, job.values, job.steps, target)
    found = [crosscheck_float(job.network, job.values, job.steps, target, twin)]
    if has_integer_twin(job.program):
        found.append(crosscheck_program(job.program, job.train, job.steps, target, seed))
    if _binary(job.program):
        found.append(crosscheck_chip(job.program, job.network, job.values, job.train, job.steps, twin))
    return found
