"""Answers of a network on data of a user's own: outputs decoded, judged against labels, targets and recorded outputs.

==========  =================================================================================
count       sum of what an output sent over the sample's own steps; the class is the largest
first       the output that fires first
membrane    the output's state at the step (mean over the steps) at which the program decides
max         the largest state over the sample's own steps
==========  =================================================================================

By default the network tells: ``membrane`` (or ``max``) where its output is a state, else ``count``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from bimhw.compiler.compare import unit_of
from bimhw.compiler.decode import encode
from bimhw.runs.execute import Run
from bimhw.tasks.dataset import Dataset, Samples
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.program.entries import by_input, input_populations
from simulator.program.graph import Population
from simulator.program.meta import ProgramOutput
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Figures = dict[str, Any]
Decode = Literal["count", "first", "membrane", "max"]
DECODES: tuple[Decode, ...] = get_args(Decode)
_STATES = ("v", "V", "y")


def reduce(values: Floats, how: Decode, window: tuple[int, ...]) -> Floats:
    """Return scores [B, C] of values [B, T, C].

    Args:
        values: of the outputs, on the sample's own steps.
        how: see above.
        window: steps at which ``membrane`` decides.
    """
    if how == "count":
        return np.asarray(values.sum(axis=1))
    if how == "max":
        return np.asarray(values.max(axis=1))
    if how == "membrane":
        return np.asarray(values[:, list(window)].mean(axis=1))
    fired, steps = values != 0, values.shape[1]
    return np.asarray(steps - np.where(fired.any(axis=1), fired.argmax(axis=1), steps), np.float64)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What is read of a program, and how it is decoded.

    Attributes:
        populations: outputs, side by side in this order.
        how: decoding.
        state: the state that is read; None where spikes are.
    """

    populations: tuple[Population, ...]
    how: Decode
    state: str | None

    @staticmethod
    def of(program: Program, decode: str | None) -> Outputs:
        """Return the outputs that a program names, decoded as asked for or as the network tells."""
        if decode not in (None, *DECODES):
            raise InputError(f"decode {decode!r}", "is not known", f"Decodings: {', '.join(DECODES)}")
        meta = program.facts.output or ProgramOutput()
        names = program.facts.outputs or ((meta.population,) if meta.population else ())
        found = [program.population(n) for n in names] or [p for p in program.populations if p.role == "output"]
        populations = tuple(found or [p for p in program.populations if p.model != INPUT_MODEL][-1:])
        own: Decode = ("max" if meta.reduce == "max" else "membrane") if meta.state else "count"
        how: Decode = decode or own
        if how in ("count", "first"):
            return Outputs(populations, how, None)
        state = meta.state or _state_of(populations)
        return Outputs(populations, how, state)

    def probes(self) -> tuple[tuple[str, str], ...]:
        """States that must be recorded."""
        return () if self.state is None else tuple((p.name, self.state) for p in self.populations)

    def on_chip(self, program: Program, run: Run, steps: int) -> Floats:
        """Values [B, T, C] of a run, in the units of the float network."""
        formats, first = program.facts.formats, program.first_ids()
        parts = []
        for p in self.populations:
            if self.state is None:
                dense = np.stack([t.to_dense(first[p.name], p.size) for t in run.spikes])
                parts.append(dense.astype(np.float64) * unit_of(p, formats))
            else:
                unit = 2.0 ** -formats[p.name][self.state] if p.name in formats else 1.0
                parts.append(run.probes[p.name, self.state].astype(np.float64) * unit)
            parts[-1] = parts[-1][:, p.layer : p.layer + steps]
        return np.concatenate(parts, axis=2)

    def in_float(self, network: Network, values: dict[str, Floats], steps: int, seed: int) -> Floats:
        """Values [B, T, C] of the float network."""
        from mapping.float_run import record

        what = self.state or "out"
        pairs = [(p.name, what) for p in self.populations]
        layers = {p.name: network.population(p.name).layer for p in self.populations}
        shown = record(network, values, steps + max(layers.values()), pairs, seed)
        return np.concatenate([shown[pair][:, layers[pair[0]] : layers[pair[0]] + steps] for pair in pairs], axis=2)


def _state_of(populations: tuple[Population, ...]) -> str:
    words = [{w.name for w in get(p.model).states} for p in populations]
    for name in _STATES:
        if all(name in w for w in words):
            return name
    raise InputError("decode", f"{populations[0].name!r} has no membrane to read", "Use --decode count")


@dataclass(frozen=True, eq=False)
class DataTrial:
    """Samples of a dataset, for a program."""

    name: str
    samples: Samples
    payloads: npt.NDArray[np.int32]
    output: Outputs
    window: tuple[int, ...]

    @staticmethod
    def of(program: Program, data: Dataset, count: int | None, decode: str | None) -> DataTrial:
        """Return a dataset's samples as payloads of a program's input.

        Raises:
            InputError: another width than the program's, or an input that the data lacks.
        """
        entry = program.facts.entry
        names = {p.name: p.size for p in input_populations(program.populations)}
        samples = data.samples(sum(names.values()), count, names, program.facts.sample_steps, entry.once)
        payloads = samples.payloads(entry.scale, entry.payload_bits)
        output, steps = Outputs.of(program, decode), payloads.shape[1]
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

    def trains(self, program: Program) -> list[SpikeTrain]:
        """Input spikes of each sample."""
        return [encode(program, x) for x in self.payloads]

    def chip_steps(self, program: Program) -> int:
        """Steps of a sample and the depth of the network."""
        return self.steps + max(p.layer for p in program.populations)

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """States that must be recorded."""
        return self.output.probes()

    def chip_scores(self, program: Program, run: Run) -> Floats:
        """[B, C]."""
        return reduce(self.output.on_chip(program, run, self.steps), self.output.how, self.window)

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[Floats, None]:
        """[B, C] of the network that the program was compiled from."""
        network = float_network(model, program)
        scale = program.facts.entry.scale
        values = by_input(self.payloads.astype(np.float64) * scale, network.populations)
        return reduce(self.output.in_float(network, values, self.steps, seed), self.output.how, self.window), None

    def judge(self, scores: Floats) -> Figures:
        """Accuracy and confusion against labels, or the error against real targets; nothing without either."""
        y = self.samples.y
        if y is None:
            return {}
        if y.dtype.kind in "iu" and y.ndim == 1:
            chosen, size = scores.argmax(axis=1), max(scores.shape[1], int(y.max()) + 1)
            table = np.zeros((size, size), np.int64)
            np.add.at(table, (y, chosen), 1)
            return {"accuracy": float((chosen == y).mean()), "confusion": table.tolist()}
        wanted = y.mean(axis=1) if y.ndim == 3 else y.reshape(len(y), -1)
        if wanted.shape != scores.shape:
            raise InputError(
                f"{self.name}: y", f"has shape {y.shape}, the outputs {scores.shape}", "Give one an output"
            )
        error = float(np.sqrt(np.mean((scores - wanted) ** 2)))
        spread = float(np.std(wanted))
        return {"rms_error": error, "relative_rms_error": error / spread if spread else None}

    def recorded(self, values: Floats) -> Figures:
        """The run beside the outputs that the data holds; what differs is the effect of quantisation."""
        out = self.samples.out
        if out is None:
            return {}
        if out.shape != values.shape:
            raise InputError(
                f"{self.name}: out", f"has shape {out.shape}, the run gives {values.shape}", "Leave it out"
            )
        theirs = reduce(out.astype(np.float64), self.output.how, self.window)
        ours = reduce(values, self.output.how, self.window)
        power = float(np.sqrt(np.mean(out.astype(np.float64) ** 2)))
        error = float(np.sqrt(np.mean((values - out) ** 2)))
        found = {f"recorded_{k}": v for k, v in self.judge(theirs).items() if k != "confusion"}
        return found | {
            "recorded_differ": int((values != out).sum()),
            "recorded_of": int(out.size),
            "recorded_rms_error": error / power if power else error,
            "recorded_decisions_agree": float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
        }

    def outputs(self, program: Program, run: Run) -> dict[str, Array]:
        """What the outputs sent or held, [B, T, C], and the scores [B, C]."""
        values = self.output.on_chip(program, run, self.steps)
        return {"values": values, "scores": reduce(values, self.output.how, self.window)}


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
        """The program's own inputs."""
        return [self.inputs]

    def chip_steps(self, program: Program) -> int:
        """Steps of the inputs."""
        return self.inputs.steps

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """None."""
        return ()

    def chip_scores(self, program: Program, run: Run) -> None:
        """None."""

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[None, None]:
        """Raise `InputError`: integers have no float model."""
        raise InputError(str(model), "cannot be compared: the program is made of integers", "Leave --model out")

    def judge(self, scores: Floats) -> Figures:
        """Nothing."""
        return {}

    def outputs(self, program: Program, run: Run) -> dict[str, Array]:
        """Nothing beside the spikes."""
        return {}


def float_network(model: str | Path, program: Program) -> Network:
    """Return the float network of a program's model, read and fed as it was when it was compiled."""
    from bimhw.frontends import load_network

    network = load_network(model, None, **program.facts.reading)
    entry = dict(network.meta.get("input", {})) | {"scale": program.facts.entry.scale}
    return replace(network, meta=dict(network.meta) | {"input": entry})
