"""The course of learning on the chip: what a checkpoint keeps beside the learner's state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from simulator.base.errors import InputError
from simulator.base.reading import boundary
from simulator.plasticity import Learner
from simulator.plasticity.checkpoint import load_learning
from simulator.plasticity.learn import EpochResult


@dataclass
class Course:
    """Epochs that were learnt so far, as a checkpoint keeps them beside the learner's state."""

    epochs: int
    samples: int
    history: list[EpochResult] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    @classmethod
    def resumed(cls, epochs: int, samples: int, learner: Learner, path: Path) -> Course:
        """Return the course in a checkpoint, the learner put where it was; a new one where there is no file.

        Raises:
            InputError: a broken checkpoint, or one of another program, seed, number of epochs or of samples.
        """
        if not path.exists():
            return cls(epochs, samples)
        notes = load_learning(learner, path)
        with boundary(path, "a checkpoint of bimhw learn", "Delete it to start afresh"):
            found = msgspec.convert(notes, cls)
        for name, mine, theirs in (("epochs", epochs, found.epochs), ("samples", samples, found.samples)):
            if mine != theirs:
                raise InputError(
                    f"{path}: {name}",
                    f"are {theirs}, of this run {mine}",
                    "Give the same, or delete it to start afresh",
                )
        return found

    def notes(self) -> dict[str, object]:
        """Return the course as plain JSON values, without the CPU time that it took: the same seed gives the same bytes."""
        timeless = replace(self, history=[replace(epoch, cpu_s=0.0) for epoch in self.history])
        out: dict[str, object] = msgspec.to_builtins(timeless)
        return out
