"""Random networks that a cross-check can be run on: every model with a float twin, sizes, delays and wirings drawn.

Weights and parameters are dyadic (few bits after the point), so that sums do not depend on their order and a tie at the
threshold is the same tie on both sides.
"""

from __future__ import annotations

import numpy as np

from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get, names
from simulator.program.graph import Population, Projection, dense_to_csr


def models() -> tuple[str, ...]:
    """Return the models that random networks are made of: those that can draw their parameters, sorted."""
    return tuple(name for name in names() if get(name).sample_params is not None)


MOST_DELAY = 62  # of Loihi


def random_network(seed: int, max_size: int = 200) -> Network:
    """Return a float network of an input and two to four populations, forward and recurrent projections."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(2, max(3, max_size // 4))) for _ in range(1 + int(rng.integers(2, 5)))]
    known = models()
    populations = [Population("in", INPUT_MODEL, sizes[0], role="input")]
    for k, size in enumerate(sizes[1:], start=1):
        model = known[(seed + k) % len(known)] if k == 1 else str(rng.choice(known))
        drawn = get(model).sample_params
        assert drawn is not None
        params = {n: np.broadcast_to(v, (size,)).copy() for n, v in drawn(rng, size).items()}
        populations.append(Population(f"p{k}", model, size, params, layer=int(rng.integers(0, 4))))
    projections = []
    for target in populations[1:]:
        sources = {populations[0].name, str(rng.choice([p.name for p in populations]))}
        if target.model == "izhikevich":  # it amplifies the last bit of a graded sum, whose order is not ours to choose
            sources = {n for n in sources if n == "in" or get(_model(populations, n)).emits != "graded"}
        for name in sorted(sources):
            source = next(p for p in populations if p.name == name)
            for port in get(target.model).ports:
                projections.append(_projection(f"{name}-{target.name}-{port}", source, target, port, rng))
    return Network("float", tuple(populations), tuple(projections))


def _model(populations: list[Population], name: str) -> str:
    return next(p.model for p in populations if p.name == name)


def random_inputs(network: Network, steps: int, seed: int) -> dict[str, Floats]:
    """Draw binary spikes at a random rate for the network's input."""
    rng = np.random.default_rng([seed, 1])
    size = network.population("in").size
    return {"in": (rng.random((steps, size)) < rng.uniform(0.05, 0.4)).astype(np.float64)}


def _projection(name: str, source: Population, target: Population, port: str, rng: np.random.Generator) -> Projection:
    unit = get(target.model).sample_weight
    if source.model != INPUT_MODEL and get(source.model).emits == "graded":
        unit = unit * 2.0**-6
    dense = np.round(rng.normal(0.3, 1.0, (target.size, source.size)) * 8) / 8 * unit
    dense *= rng.random(dense.shape) < rng.uniform(0.1, 0.9)
    indptr, indices, values = dense_to_csr(dense)
    delay = int(rng.integers(0, MOST_DELAY + 1)) if rng.random() < 0.5 else 0
    return Projection(name, source.name, target.name, port, indptr, indices, values, delay)
