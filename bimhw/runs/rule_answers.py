"""Answer of a network that learns by a rule file: what the host reads while a sample runs, and how the network is judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bimhw.compiler.compare import unit_of
from bimhw.runs.execute import Run
from bimhw.runs.outputs import Output, Outputs
from bimhw.runs.trials import SequenceTrial
from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.function.layout import Cells
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.product_hook import sent_in
from simulator.program.program import Program


def readout_of(program: Program) -> str | None:
    """Return the population that answers; None where several do."""
    output = program.facts.output
    if output is not None and output.population is not None:
        return output.population
    answer = Outputs.of(program, None).answer
    return answer[0].population.name if len(answer) == 1 else None


@dataclass(frozen=True, eq=False)
class HostReading:
    """Reading of a program's answer by the host.

    Attributes:
        population: that answers.
        latency: chip steps from a sample's step to the answer of that step.
        state: that is read; None: spikes are counted from the sample's first step on.
        unit: value of 1 in the word that is read.
    """

    population: str
    latency: int
    state: str | None
    unit: float

    @staticmethod
    def of(program: Program) -> HostReading:
        """Return how a program says that it is read; without a word of it, its one output's spikes are counted.

        Raises:
            InputError: several outputs answer.
        """
        output = program.facts.output
        if output is not None and output.state is not None and output.population is not None:
            return HostReading(output.population, output.latency or 0, output.state, output.scale or 1.0)
        one = _one_output(program)
        formats, p = program.facts.formats, one.population
        if one.state is None:
            return HostReading(p.name, p.layer, None, unit_of(p, formats))
        return HostReading(p.name, p.layer, one.state, 2.0 ** -formats.get(p.name, {}).get(one.state, 0))

    def trial(self, program: Program, trial: SequenceTrial) -> SequenceTrial:
        """Return a trial that judges the program as `bimhw simulate` does, of samples of other lengths by their last step."""
        output = program.facts.output
        if output is not None and output.state is not None and trial.task.steps == program.facts.sample_steps:
            return trial
        return _OutputTrial(trial.name, trial.task, trial.split, Outputs.of(program, None))


class HostAnswer:
    """The answer while a sample runs.

    Args:
        reading: of the program.
        simulation: that runs it.
    """

    def __init__(self, reading: HostReading, simulation: Simulation) -> None:
        self._reading, self._simulation = reading, simulation
        cells = simulation.layout.cells
        self._at = next(k for k, c in enumerate(cells) if c.name == reading.population)
        self._row = None if reading.state is None else [w.name for w in self._cell.model.states].index(reading.state)
        self._sent = np.zeros(self._cell.size, np.int64)

    @property
    def _cell(self) -> Cells:
        return self._simulation.layout.cells[self._at]

    def reset(self) -> None:
        """Begin a new sample."""
        self._sent[:] = 0

    def listen(self) -> None:
        """Take in what the output sent in the step that was just done."""
        if self._row is None:
            self._sent += sent_in(self._simulation, self._cell.first, self._cell.size)

    def scores(self) -> Floats:
        """Return the scores [C] after this step: the state as it is, or the sum of the spikes of the sample so far."""
        words = self._sent if self._row is None else self._simulation.state.words[self._at][self._row]
        return np.asarray(words * self._reading.unit)


@dataclass(frozen=True, eq=False)
class _OutputTrial(SequenceTrial):
    """Sequences judged by what an output sent or held, as `bimhw simulate` decodes it."""

    output: Outputs

    def chip_steps(self, program: Program) -> int:
        """Return the steps of a sample and of the network's depth."""
        return self.task.steps + max(p.layer for p in program.populations)

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """Return the states that must be recorded."""
        return self.output.probes()

    def chip_scores(self, program: Program, run: Run) -> Floats:
        """Return scores [n, C]."""
        values = self.output.joined(self.output.on_chip(program, run, self.task.steps))
        return self.output.scores(values, (self.task.steps - 1,))


def _one_output(program: Program) -> Output:
    answer = Outputs.of(program, None).answer
    if len(answer) != 1:
        raise InputError(
            "program",
            f"has {len(answer)} outputs that answer ({', '.join(o.name for o in answer)}), and a rule learns by one",
            "Give the network one output",
        )
    return answer[0]
