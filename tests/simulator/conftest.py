"""A small chip and random mapped programs with spikes, built here so that these tests stand alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simulator.chips.chip import Capabilities, Chip, Limits, Timing, Topology
from simulator.chips.quantity import Quantity
from simulator.neurons.base import NeuronModel, UpdateOps, register
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

register(NeuronModel("timing-test", ("in",), (), (), lambda *_: 0, None, UpdateOps()))


def ns(value: float | None) -> Quantity:
    return Quantity(value, "ns", "test", "assumed")


@pytest.fixture(scope="session")
def make_chip() -> Callable[..., Chip]:
    def make(width: int = 3, height: int = 2, per: int = 2, **times: object) -> Chip:
        nothing = Quantity(None, "1", "test", "unverified")
        values: dict[str, object] = {
            "tick": 0.1, "hop_east_west": 4.1, "hop_north_south": 6.5, "hop_local": 1.2, "enqueue": 0.5, "flits": 2,
            "port_slots": 4, "core_slots": 3,
            "neuron_update_active": 9.7, "neuron_update_inactive": 6.0, "spike_out": 30.0, "axon_out": 5.1,
            "message_in": 16.0, "synapse": 3.8, "barrier_hop": 2.0, "barrier": 100.0,
        }  # fmt: skip
        values |= times
        timing = Timing(**{k: ns(v) if isinstance(v, float | int) or v is None else v for k, v in values.items()})  # type: ignore[arg-type]
        return Chip(
            name="test",
            title="test",
            process_nm=None,
            capabilities=Capabilities(("*",), "binary", 0, (8,), 0),
            topology=Topology(width, height, per, width * height * per),
            limits=Limits(nothing, nothing, nothing, nothing, nothing, nothing),
            timing=timing,
            energy={},
        )

    return make


@pytest.fixture(scope="session")
def make_program() -> Callable[..., Program]:
    """Return a random program: inputs -> hidden <-> hidden -> output, on random cores."""

    def make(
        seed: int, n_cores: int, *, inputs_on_chip: bool = False, output: bool = True, density: float = 0.3
    ) -> Program:
        rng = np.random.default_rng(seed)
        sizes = {"in": 12, "hid": 40, "out": 6}
        populations = (
            Population("in", "input", 12, role="input"),
            Population("hid", "timing-test", 40),
            Population("out", "timing-test", 6, role="output" if output else "hidden"),
        )
        projections = tuple(
            _random_projection(rng, a, b, sizes, density, delay)
            for a, b, delay in (("in", "hid", 0), ("hid", "hid", 1), ("hid", "out", 0), ("in", "out", 0))
        )
        core = rng.integers(0, n_cores, 58).astype(np.int32)
        if not inputs_on_chip:
            core[:12] = HOST
        return Program("test", "0", populations, projections, core)

    return make


def _random_projection(
    rng: np.random.Generator, a: str, b: str, sizes: dict[str, int], density: float, delay: int
) -> Projection:
    mask = rng.random((sizes[a], sizes[b])) < density
    indptr = np.zeros(sizes[a] + 1, np.int64)
    np.cumsum(mask.sum(1), out=indptr[1:])
    indices = np.nonzero(mask)[1].astype(np.int32)
    weights = rng.integers(-3, 4, indices.size).astype(np.int8)
    return Projection(f"{a}-{b}", a, b, "in", indptr, indices, weights, delay=delay)


@pytest.fixture(scope="session")
def make_spikes() -> Callable[..., SpikeTrain]:
    def make(seed: int, steps: int, n: int, rate: float = 0.2) -> SpikeTrain:
        rng = np.random.default_rng(seed)
        return SpikeTrain.from_dense((rng.random((steps, n)) < rate).astype(np.int32))

    return make
