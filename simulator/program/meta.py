"""The typed facts of a program: its ends, its steps, its number formats, and where it comes from.

A key of the meta that `ProgramMeta` does not name is handed on as it is, and tools of one's own read it from `Program.meta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from simulator.base.errors import InputError

MAX_NEURONS = 2**31 - 1  # ids are int32
MAX_STEPS = 10**9
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Step = Annotated[int, msgspec.Meta(ge=0, le=MAX_STEPS)]
Steps = Annotated[int, msgspec.Meta(ge=1, le=MAX_STEPS)]
Bits = Annotated[int, msgspec.Meta(ge=0, le=24)]
Scale = Annotated[float, msgspec.Meta(gt=0, le=1e30)]
Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_NEURONS)]
Fraction = Annotated[int, msgspec.Meta(ge=-128, le=128)]
T = TypeVar("T")


class ProgramInput(msgspec.Struct, frozen=True):
    """The input of a program.

    Attributes:
        population: its name.
        scale: value of payload 1.
        scales: of several inputs, value of payload 1 by the name of the input; one that is not named has `scale`.
        payload_bits: of a payload, sign included; 0: binary spikes.
        once: a still input comes at the first step only, as its changes are what is sent (sigma-delta).
        measured: the scale was found on real-valued samples, so whole numbers are values as well, not payloads.
        encoding: code by which samples became spikes (rate, latency, delta); None: they are values.
    """

    population: Name | None = None
    scale: Scale = 1.0
    scales: dict[Name, Scale] = {}
    payload_bits: Bits = 0
    once: bool = False
    measured: bool = False
    encoding: Literal["rate", "latency", "delta"] | None = None

    @property
    def name(self) -> str:
        """Name of the population; raises `InputError` where the program has several inputs or none."""
        return required(self.population, "input population")

    def scale_of(self, name: str) -> float:
        """Return the value of payload 1 of an input."""
        return self.scales.get(name, self.scale)


class ProgramOutput(msgspec.Struct, frozen=True):
    """The output of a program.

    Attributes:
        population: its name.
        state: the state that the host reads; None: its spikes.
        latency: chip steps from a sample's step to the output of that step.
        scale: value of 1 in the state's word.
        window: chip steps over which the output is reduced to scores.
        loss: steps of a sample that have a label in learning.
        reduce: how: the mean over the window, or the maximum over the sample's own steps.
    """

    population: Name | None = None
    state: Name | None = None
    latency: Step | None = None
    scale: Scale | None = None
    window: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)] | None = None
    loss: tuple[Step, ...] = ()
    reduce: Literal["mean", "max"] = "mean"


class ProgramExit(msgspec.Struct, frozen=True):
    """One output by its name in the model.

    Attributes:
        name: of the Output node, or of the result of a module.
        population: its neurons.
        state: the state that the host reads; None: its spikes.
        reduce: as in `ProgramOutput`.
        answer: labels and targets without a name judge it, beside the other answers.
    """

    name: Name
    population: Name
    state: Name | None = None
    reduce: Literal["mean", "max"] = "mean"
    answer: bool = True


class Relays(msgspec.Struct, frozen=True):
    """Relay neurons that the mapping inserted for fan-out: their populations and their number."""

    populations: tuple[Name, ...] = ()
    neurons: Size = 0


class WordOptions(msgspec.Struct, frozen=True):
    """Bits of a stored weight and of a state word that the program was compiled with."""

    bits: Annotated[int, msgspec.Meta(ge=1, le=32)] = 8
    state_bits: Annotated[int, msgspec.Meta(ge=1, le=32)] = 16


class ProgramFidelity(msgspec.Struct, frozen=True):
    """Fidelity of a compilation to its network.

    Attributes:
        word: faithful (the same neurons and connections; weights and states rounded to the words of the chip) or approximate.
        reasons: what differs; empty of a faithful one.
    """

    word: Literal["faithful", "approximate"]
    reasons: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return it in one line."""
        return ": ".join([self.word, *(["; ".join(self.reasons)] if self.reasons else [])])

    def as_json(self) -> dict[str, str | list[str]]:
        """Return plain values for JSON."""
        return {"word": self.word, "reasons": list(self.reasons)}


class ProgramMeta(msgspec.Struct, frozen=True):
    """Meta fields of a program that bimhw reads.

    Attributes:
        task: name of the task that it was compiled for.
        kind: of the model, such as ``bim``.
        steps: of a sample, in older programs.
        sample_steps: steps of a sample.
        chip_steps: steps of a sample and the depth of the network.
        input, output: its ends.
        outputs: output populations, where there are several.
        exits: the outputs by their names in the model.
        formats: population -> state -> fractional bits of its word.
        options: word widths.
        relays: relay neurons of its mapping.
        notes: what the compiler remarked.
        fidelity: how far it is the network that it was compiled from.
        config: of the model.
        learnt: projections that have learnt by a rule file.
        calibration: what the formats were chosen on.
        model_sha256: hash of the model file.
        neurons: population -> parameter -> a figure of its values in float (`bimhw.compiler.marks`).
        profile: how a .nir file was read, in older programs.
        reading: options of the front end.
        source: name of the file that brought the inputs.
        resting: population -> ranges (first, last + 1) of the neurons that are charged no update while they rest; None: all
            are charged.
        copies: of the network in the program; copy k >= 1 of the population ``p`` is ``p#k``.
        units: kind -> name -> who asks for that unit of a core first (SANA-FE).
        unit_of: kind -> population -> unit of its cores that it takes, where that is not the chip's first (SANA-FE).
        mapping, chip_file: figures of the mapping; the chip file's content, where it is not one of bimhw's.
    """

    task: str | None = None
    kind: str | None = None
    steps: Step | None = None
    sample_steps: Steps | None = None
    chip_steps: Steps | None = None
    input: ProgramInput | None = None
    output: ProgramOutput | None = None
    outputs: tuple[Name, ...] = ()
    exits: tuple[ProgramExit, ...] = ()
    formats: dict[str, dict[str, Fraction]] = {}
    options: WordOptions | None = None
    relays: Relays = Relays()
    notes: tuple[str, ...] = ()
    fidelity: ProgramFidelity | None = None
    config: str | dict[str, Any] | None = None
    learnt: tuple[Name, ...] = ()
    calibration: str | None = None
    model_sha256: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    neurons: dict[str, dict[str, float]] = {}
    profile: str | None = None
    reading: dict[str, object] = {}
    source: str | None = None
    resting: dict[Name, tuple[tuple[Size, Size], ...]] | None = None
    copies: Annotated[int, msgspec.Meta(ge=1, le=MAX_NEURONS)] = 1
    units: dict[str, dict[str, str]] = {}
    unit_of: dict[str, dict[Name, str]] = {}
    mapping: dict[str, Any] | None = None
    chip_file: dict[str, Any] | None = None

    @property
    def entry(self) -> ProgramInput:
        """The input; raises `InputError` where the program does not name one."""
        return required(self.input, "input")


def input_entry(meta: Mapping[str, object]) -> ProgramInput:
    """Return the typed input of a network's or program's meta; one that says nothing has payloads of value 1.

    Raises:
        InputError: a fact of another type or out of its range.
    """
    return program_meta({"input": meta.get("input")}).input or ProgramInput()


def required(value: T | None, name: str) -> T:
    """Return a fact that is there.

    Raises:
        InputError: the program lacks it.
    """
    if value is None:
        raise InputError("program", f"says nothing of its {name!r}", "Compile its model with bimhw compile")
    return value


def program_meta(meta: Mapping[str, Any]) -> ProgramMeta:
    """Return the typed facts of a program's meta.

    Raises:
        InputError: a fact of another type or out of its range, by its path.
    """
    try:
        return msgspec.convert(dict(meta), ProgramMeta, strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError("program: meta", str(error), "Compile it again") from error
