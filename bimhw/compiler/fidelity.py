"""Say how far a program is the network that it was compiled from: faithful, or approximate and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mapping.network import Network

WEIGHT_ERROR = 0.05  # rms error over rms weight, above which a projection is another one


@dataclass(frozen=True)
class Fidelity:
    """What a compilation kept of its network.

    Attributes:
        word: faithful (the same neurons and connections; weights and states rounded to the words of the chip) or approximate.
        reasons: what differs; empty of a faithful one.
    """

    word: Literal["faithful", "approximate"]
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, str | list[str]]:
        """Return plain values for JSON."""
        return {"word": self.word, "reasons": list(self.reasons)}


def fidelity(given: Network, run: Network, weight_errors: Mapping[str, float], assumed: str) -> Fidelity:
    """Judge a compilation.

    Args:
        given: the network as its front end made it.
        run: the network that was lowered, in the chip's own neuron models.
        weight_errors: projection -> rms error over rms weight.
        assumed: note of a calibration with made-up inputs; empty where data calibrated.
    """
    models = {p.name: p.model for p in given.populations}
    reasons = [
        f"{p.name}: {models[p.name]} runs as the chip's {p.model}"
        for p in run.populations
        if p.name in models and p.model != models[p.name]
    ]
    reasons += [
        f"{name}: stored weights are {100 * error:.1f} % off"
        for name, error in weight_errors.items()
        if error > WEIGHT_ERROR
    ]
    reasons += [f"formats rest on made-up inputs: {assumed}"] if assumed else []
    return Fidelity("approximate" if reasons else "faithful", tuple(reasons))
