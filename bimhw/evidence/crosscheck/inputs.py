"""Jobs of a cross-check: the network or program, and one input for each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.frontends import load_network
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset
from bimhw.tasks.sources.text import Corpus
from mapping.network import Network
from simulator.base.arrays import I32, Array, Floats
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.program.entries import by_input, column_scales, input_name, input_populations
from simulator.program.meta import ProgramInput, input_entry
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

_EMPTY = SpikeTrain(np.zeros(1, np.int64), np.zeros(0, np.int32))
DEFAULT_STEPS = 200


@dataclass(frozen=True, eq=False)
class Job:
    """One run: a float network with real values, a program with payloads, or both."""

    steps: int
    network: Network | None = None
    program: Program | None = None
    values: dict[str, Floats] = field(default_factory=dict)
    train: SpikeTrain = _EMPTY


def prepare(
    model: Any,
    task: str | Task | Corpus | Dataset | None,
    samples: Sequence[int],
    steps: int | None,
    rate: float,
    seed: int,
    source: str | Path | None,
    reading: Mapping[str, object],
) -> list[Job]:
    """Return the jobs of a cross-check; see `bimhw.evidence.crosscheck.check.cross_check` for the arguments."""
    suffix = Path(model).suffix if isinstance(model, str | Path) else ""
    if suffix == ".bimhw" or isinstance(model, Program):
        program = model if isinstance(model, Program) else Program.load(model)
        return _of_program(program, task, samples, steps, rate, seed, source)
    network = load_network(model, task if isinstance(task, Dataset) else None, **reading)
    if network.stage == "integer":
        return [_integer(network, steps, rate, seed)]
    depth = max(p.layer for p in network.populations)
    if task is None:
        length = steps or DEFAULT_STEPS
        return [Job(length, network, values=_random(network, length, rate, seed))]
    scale = column_scales(input_entry(network.meta), network.populations)
    names = {p.name: p.size for p in input_populations(network.populations)}
    if isinstance(task, Dataset):
        real = [
            x * (scale if x.dtype.kind in "iub" else 1.0)
            for x in _chosen(task.samples(sum(names.values()), names=names).x, samples, task.name)
        ]
    else:
        real = [x * scale for x in _task_samples(task, samples)]
    return [
        Job(steps or len(x) + depth, network, values=by_input(x.astype(np.float64), network.populations)) for x in real
    ]


def _of_program(
    program: Program,
    task: str | Task | Corpus | Dataset | None,
    samples: Sequence[int],
    steps: int | None,
    rate: float,
    seed: int,
    source: str | Path | None,
) -> list[Job]:
    from bimhw.compiler.decode import encode, program_samples

    reading = program.facts.reading  # the program keeps how its model was read
    network = load_network(source, None, **reading) if source is not None else None
    name = program.facts.task if task is None or isinstance(task, Dataset) else task
    if not name and task is None and program.inputs is not None and network is None:
        own = program.inputs
        return [Job(min(steps or DEFAULT_STEPS, own.steps), program=program, train=own)]
    inputs = [p for p in program.populations if p.model == INPUT_MODEL]
    if isinstance(task, Dataset):
        _, whole = program_samples(program, task)
        payloads = _chosen(whole, samples, task.name)
    elif name:
        payloads = _task_samples(name, samples)
    else:
        length = steps or DEFAULT_STEPS
        payloads = [_random_payloads(length, sum(p.size for p in inputs), rate, seed)]
    scale = column_scales(program.facts.input or ProgramInput(), inputs)
    jobs = []
    for x in payloads:
        train = encode(program, x) if "input" in program.meta else SpikeTrain.from_dense(x)
        values = by_input(x * scale, program.populations)
        length = len(x) + max(p.layer for p in program.populations) if isinstance(task, Dataset) else len(x)
        given = length if isinstance(task, Dataset) else program.facts.chip_steps or length
        jobs.append(Job(steps or given, network, program, values, train))
    return jobs


def _integer(network: Network, steps: int | None, rate: float, seed: int) -> Job:
    """Prepare an integer network on its own input spikes, or on random ones; on which core a neuron lies plays no part."""
    core = np.zeros(sum(p.size for p in network.populations), np.int32)
    program = Program("", "", network.populations, network.projections, core, meta=network.meta)
    own = network.inputs
    if own is not None:
        return Job(min(steps or DEFAULT_STEPS, own.steps), program=program, train=own)
    length = steps or DEFAULT_STEPS
    draw = _random_payloads(length, sum(p.size for p in input_populations(network.populations)), rate, seed)
    first = program.first_ids()[input_name(network.populations)]
    return Job(length, program=program, train=SpikeTrain.from_dense(draw, first))


def _random_payloads(steps: int, n: int, rate: float, seed: int) -> I32:
    """Draw spikes [steps, n] of a probability."""
    return (np.random.default_rng(seed).random((steps, n)) < rate).astype(np.int32)


def _task_samples(task: str | Task | Corpus, samples: Sequence[int]) -> list[Array]:
    from bimhw.tasks import load_named
    from bimhw.tasks.features.stretches import scored_stretches

    data = load_named(task) if isinstance(task, str) else task
    x = data.test.x if isinstance(data, Task) else scored_stretches(data).x
    return _chosen(x, samples, f"the test split of {task if isinstance(task, str) else task.name!r}")


def _chosen(x: Array, samples: Sequence[int], where: str) -> list[Array]:
    for k in samples:
        if not 0 <= k < len(x):
            raise InputError(f"sample {k}", f"is not in {where}: 0..{len(x) - 1}")
    return [x[k] for k in samples]


def _random(network: Network, steps: int, rate: float, seed: int) -> dict[str, Floats]:
    if not 0 <= rate <= 1:
        raise InputError("rate", f"is {rate}, must be from 0 to 1")
    rng = np.random.default_rng(seed)
    return {
        p.name: (rng.random((steps, p.size)) < rate).astype(np.float64) for p in input_populations(network.populations)
    }
