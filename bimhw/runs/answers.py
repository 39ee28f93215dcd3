"""Answers of a network on data of a user's own: outputs decoded, judged against labels, targets and recorded outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bimhw.compiler.decode import encode, program_samples
from bimhw.runs.execute import Run
from bimhw.runs.outputs import Figures, Outputs, beside_recorded, judged, reduce
from bimhw.tasks.dataset import Dataset
from bimhw.tasks.samples import Samples
from mapping.network import Network
from simulator.base.arrays import I32, Array, Floats
from simulator.base.errors import InputError
from simulator.program.entries import by_input, column_scales, input_populations, scale_facts
from simulator.program.meta import ProgramOutput
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

ByOutput = dict[str, Floats]  # name of an output -> values [B, T, C]


@dataclass(frozen=True, eq=False)
class DataTrial:
    """Samples of a dataset, for a program."""

    name: str
    samples: Samples
    payloads: I32
    output: Outputs
    window: tuple[int, ...]

    @staticmethod
    def of(program: Program, data: Dataset, count: int | None, decode: str | None) -> DataTrial:
        """Return a dataset's samples as payloads of a program's input.

        Raises:
            InputError: another width than the program's, an input that the data lacks, or an output that it names and the
                program lacks.
        """
        output = Outputs.of(program, decode)
        samples, payloads = program_samples(program, data, count)
        samples = _by_names_of(output, samples, data.name)
        steps = payloads.shape[1]
        meta = program.facts.output or ProgramOutput()
        window = () if meta.latency is None else tuple(t - meta.latency for t in meta.window or ())
        same = steps == program.facts.sample_steps and window and max(window) < steps
        return DataTrial(data.name, samples, payloads, output, window if same else (steps - 1,))

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.payloads)

    @property
    def steps(self) -> int:
        """T of a sample."""
        return int(self.payloads.shape[1])

    def take(self, part: slice) -> DataTrial:
        """Return some of the samples; labels and recorded values stay with the whole."""
        some = replace(self.samples, x=self.samples.x[part], y=None, out=None, targets={}, recorded={})
        return replace(self, samples=some, payloads=self.payloads[part])

    def trains(self, program: Program) -> list[SpikeTrain]:
        """Return the input spikes of each sample."""
        return [encode(program, x) for x in self.payloads]

    def chip_steps(self, program: Program) -> int:
        """Return the steps of a sample and of the network's depth."""
        return self.steps + max(p.layer for p in program.populations)

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """Return the states that must be recorded."""
        return self.output.probes()

    def chip_scores(self, program: Program, run: Run) -> Floats:
        """[B, C]."""
        return self.scores(self.values(program, run))

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[Floats, None]:
        """[B, C] of the network that the program was compiled from."""
        return self.scores(self.float_values(model, program, seed)), None

    def values(self, program: Program, run: Run) -> ByOutput:
        """Return what each output sent or held in a run."""
        return self.output.on_chip(program, run, self.steps)

    def float_values(self, model: str | Path, program: Program, seed: int) -> ByOutput:
        """Return what each output sends or holds in the network that the program was compiled from."""
        network = float_network(model, program)
        scale = column_scales(program.facts.entry, network.populations)
        values = by_input(self.payloads.astype(np.float64) * scale, network.populations)
        return self.output.in_float(network, values, self.steps, seed)

    def scores(self, values: ByOutput) -> Floats:
        """Return scores [B, C] of the answer."""
        return self.output.scores(self.output.joined(values), self.window)

    def judge(self, scores: Floats) -> Figures:
        """Accuracy and confusion against labels, or the error against real targets; nothing without either."""
        return judged(self.samples.y, scores, f"{self.name}: y")

    def judge_outputs(self, values: ByOutput, theirs: ByOutput | None = None) -> dict[str, Figures]:
        """Return figures of each output that the data names: against its labels or targets, and its recorded values.

        Args:
            values: of the run.
            theirs: of the float network, where it ran.
        """
        found: dict[str, Figures] = {}
        for o in self.output.all:
            if o.name not in {**self.samples.targets, **self.samples.recorded}:
                continue
            y, mine = self.samples.targets.get(o.name), values[o.name]
            figures = judged(y, reduce(mine, o.how, self.window), f"{self.name}: y.{o.name}")
            out = self.samples.recorded.get(o.name)
            if out is not None:
                figures |= beside_recorded(out, mine, f"{self.name}: out.{o.name}")
            for beside, other in (("float_", None if theirs is None else theirs[o.name]), ("recorded_", out)):
                if other is not None:
                    right = judged(y, reduce(other.astype(np.float64), o.how, self.window), self.name)
                    figures |= {f"{beside}{k}": v for k, v in right.items() if f"{beside}{k}" not in figures}
                    agree = o.decisions(mine, self.window) == o.decisions(other.astype(np.float64), self.window)
                    figures[f"{beside}decisions_agree"] = float(agree.mean())
            found[o.name] = {k: v for k, v in figures.items() if k not in ("float_confusion", "recorded_confusion")}
        return found

    def recorded(self, values: Floats) -> Figures:
        """Compare the run with the outputs that the data holds; what differs is the effect of quantisation."""
        out = self.samples.out
        if out is None:
            return {}
        beside = beside_recorded(out, values, f"{self.name}: out")
        theirs = self.output.scores(out.astype(np.float64), self.window)
        ours = self.output.scores(values, self.window)
        found = {f"recorded_{k}": v for k, v in self.judge(theirs).items() if k != "confusion"}
        agree = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
        return found | beside | {"recorded_decisions_agree": agree}

    @property
    def notes(self) -> list[str]:
        """What was found by shape in the data, and recorded values that the outputs cannot have."""
        out, ends = self.samples.out, self.output.answer
        doubts = [n for o in self.output.all for n in o.doubts(self.samples.recorded.get(o.name))]
        return [*self.samples.notes, *(ends[0].doubts(out) if len(ends) == 1 else ()), *doubts]

    def outputs(self, program: Program, run: Run) -> dict[str, Array]:
        """Return what the outputs sent or held, [B, T, C], and the scores [B, C]; of several outputs also each by its name."""
        values = self.values(program, run)
        joined = self.output.joined(values)
        found: dict[str, Array] = {"values": joined, "scores": self.output.scores(joined, self.window)}
        if len(self.output.all) > 1:
            found |= {f"values.{o.name}": values[o.name] for o in self.output.all}
            found |= {f"scores.{o.name}": reduce(values[o.name], o.how, self.window) for o in self.output.all}
        return found


def _by_names_of(outputs: Outputs, samples: Samples, where: str) -> Samples:
    """Return samples whose targets and recorded values are named as the outputs are; those of an only output need no name.

    Raises:
        InputError: an output that the network has not, or two sets of values for one.
    """
    found: dict[str, dict[str, Array]] = {"y": {}, "out": {}}
    for kind, values in (("y", samples.targets), ("out", samples.recorded)):
        for name, value in values.items():
            output = outputs.named(name, f"{where}: {kind}.{name}")
            if output.name in found[kind]:
                raise InputError(
                    f"{where}: {kind}.{name}", f"is given twice for the output {output.name!r}", "Give it once"
                )
            found[kind][output.name] = value
    targets, recorded = found["y"], found["out"]
    if len(outputs.all) > 1:
        return replace(samples, targets=targets, recorded=recorded)
    y = samples.y if samples.y is not None else next(iter(targets.values()), None)
    out = samples.out if samples.out is not None else next(iter(recorded.values()), None)
    return replace(samples, y=y, out=out, targets={}, recorded={})


@dataclass(frozen=True, eq=False)
class OwnTrial:
    """The input spikes that a program brings; nothing is judged."""

    name: str
    inputs: SpikeTrain
    payloads: None = None

    @property
    def count(self) -> int:
        """One sample."""
        return 1

    def trains(self, program: Program) -> list[SpikeTrain]:
        """Return the program's own inputs."""
        return [self.inputs]

    def chip_steps(self, program: Program) -> int:
        """Return the steps of the inputs."""
        return self.inputs.steps

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """Return nothing."""
        return ()

    def chip_scores(self, program: Program, run: Run) -> None:
        """Return nothing."""

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[None, None]:
        """Raise `InputError`: integers have no float model."""
        raise InputError(str(model), "cannot be compared: the program is made of integers", "Leave --model out")

    def judge(self, scores: Floats) -> Figures:
        """Return nothing."""
        return {}

    def outputs(self, program: Program, run: Run) -> dict[str, Array]:
        """Return nothing beside the spikes."""
        return {}


def float_network(model: str | Path, program: Program) -> Network:
    """Return the float network of a program's model, read and fed as it was when it was compiled."""
    from bimhw.frontends import load_network

    network = load_network(model, None, **program.facts.reading)
    given = program.facts.entry
    scales = {p.name: given.scale_of(p.name) for p in input_populations(network.populations)}
    entry = dict(network.meta.get("input", {})) | scale_facts(scales)
    return replace(network, meta=dict(network.meta) | {"input": entry})
