"""Say how far a program is the network that it was compiled from: faithful, or approximate and why."""

from __future__ import annotations

from bimhw.compiler.advice import off
from bimhw.compiler.lower.network import LoweredNetwork
from mapping.network import Network
from simulator.program.meta import ProgramFidelity


def fidelity(given: Network, run: Network, lowered: LoweredNetwork, assumed: str) -> ProgramFidelity:
    """Judge a compilation.

    Args:
        given: the network as its front end made it.
        run: the network that was lowered, in the chip's own neuron models.
        lowered: what became of it; errors of weights above the limits of advice are reasons.
        assumed: note of a calibration with made-up inputs; empty where data calibrated.
    """
    models = {p.name: p.model for p in given.populations}
    reasons = [
        f"{p.name}: {models[p.name]} runs as the chip's {p.model}"
        for p in run.populations
        if p.name in models and p.model != models[p.name]
    ]
    words = {name: off(error, lowered.row_errors.get(name, 0.0)) for name, error in lowered.weight_errors.items()}
    reasons += [f"{name}: {how}" for name, how in words.items() if how]
    reasons += ["formats rest on made-up inputs"] if assumed else []
    return ProgramFidelity("approximate" if reasons else "faithful", tuple(reasons))
