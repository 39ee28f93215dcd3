"""Say how far a program is the network that it was compiled from: faithful, or approximate and why."""

from __future__ import annotations

from collections.abc import Mapping

from mapping.network import Network
from simulator.program.meta import ProgramFidelity

WEIGHT_ERROR = 0.05  # rms error over rms weight, above which a projection is another one


def fidelity(given: Network, run: Network, weight_errors: Mapping[str, float], assumed: str) -> ProgramFidelity:
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
    return ProgramFidelity("approximate" if reasons else "faithful", tuple(reasons))
