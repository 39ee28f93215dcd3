"""Chips whose cores differ: every mapping stays within each core's own limits, and says whose limit is broken."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from bimhw.compiler.fit import fit
from mapping.limits import check_limits
from mapping.mapper import map_network
from mapping.network import Network
from mapping.placement import place, usable_cores
from mapping.usage import usage
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import Chip, Topology, core_range
from simulator.chips.load import load_chip, parse_chip
from simulator.chips.system import with_chips
from simulator.function import run
from simulator.program.program import Program
from tests.mapping.test_systems import groups, inputs


def uneven(
    core_limits: dict[str, dict[str, float]], neurons: int = 12, broken: tuple[int, ...] = (), **limits: float
) -> Chip:
    chip = load_chip("loihi2")
    new = {
        k: msgspec.structs.replace(getattr(chip.limits, k), value=v)
        for k, v in ({"neurons_per_core": float(neurons)} | limits).items()
    }
    return msgspec.structs.replace(
        chip,
        name="uneven",
        topology=Topology(3, 2, 2, 12, broken_cores=broken),
        limits=msgspec.structs.replace(chip.limits, **new),
        core_limits=core_limits,
    )


def within(program: Program, chip: Chip) -> None:
    """Each core counted by hand against its own limits."""
    held = np.bincount(program.core[program.core >= 0], minlength=chip.topology.mesh_cores)
    for core in range(chip.topology.mesh_cores):
        own = chip.limit_of("neurons_per_core", core)
        assert held[core] <= (own or np.inf), core
        assert held[core] == 0 or chip.topology.works(core)
    assert held.sum() == sum(p.size for p in program.populations if p.model != "input")


@pytest.mark.parametrize("method", ["blocks", "builtin", "auto"])
@pytest.mark.parametrize("seed", range(4))
def test_every_core_keeps_its_own_limit(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    limits = {str(c): {"neurons_per_core": float(rng.integers(1, 16))} for c in rng.choice(12, 7, replace=False)}
    chip = uneven(limits, broken=(int(rng.integers(12)),))
    network = groups(5, 12, seed)
    mapped = map_network(network, chip, method, seed=seed)
    within(mapped.program, chip)
    blocks = map_network(network, chip, "blocks")
    assert mapped.figures["messages_per_step"] <= blocks.figures["messages_per_step"]  # type: ignore[operator]
    even = map_network(network, uneven({}), "blocks")
    hashes = {run(m.program, inputs(), 30, topology=chip.topology).spikes.spike_hash() for m in (mapped, even)}
    assert len(hashes) == 1


def test_places_of_parts_that_fit_some_cores_only() -> None:
    """Against all permutations that are allowed."""
    import itertools

    topology = Topology(3, 2, 1, 6, broken_cores=(2,))
    cores = usable_cores(topology)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        flow = rng.gamma(0.5, 1, (4, 3))
        allowed = rng.random((3, 5)) < 0.6
        ways = [c for c in itertools.permutations(range(5), 3) if all(allowed[p, s] for p, s in enumerate(c))]
        from mapping.placement import hop_cost

        least = min(hop_cost(flow, topology, cores[list(c)]) for c in ways)
        start = cores[list(ways[-1])]
        found = place(flow, topology, seed, 4000, start=start, allowed=allowed)
        assert all(allowed[p, np.searchsorted(cores, c)] for p, c in enumerate(found))
        assert hop_cost(flow, topology, found) == pytest.approx(least, rel=1e-6)


def test_weak_cores_are_skipped_and_strong_ones_used() -> None:
    """Synapse memory: neurons whose fan-in only some cores can hold lie there."""
    network = groups(3, 12)
    chip = uneven({"0-3": {"synapse_bytes_per_core": 1.0}}, synapse_bytes_per_core=400.0)
    mapped = map_network(network, chip, "builtin")
    assert mapped.program.core[mapped.program.core >= 0].min() >= 4


def test_the_core_at_fault_is_named_with_its_own_limit() -> None:
    chip = uneven({"5": {"neurons_per_core": 2.0}})
    network = groups(1, 10)
    program = map_network(network, uneven({}), "blocks").program
    moved = Program(program.chip, program.chip_sha256, program.populations, program.projections,
                    np.where(program.core >= 0, np.where(np.arange(18) % 3 == 0, 5, 1), -1).astype(np.int32))  # fmt: skip
    with pytest.raises(FitError, match=r"core 5 \(net\): needs 3 neurons, and chip 'uneven' allows 2"):
        check_limits(moved, chip, usage(moved, chip))


def test_too_few_cores_that_are_large_enough() -> None:
    chip = uneven({"0-9": {"neurons_per_core": 1.0}})
    with pytest.raises(
        FitError, match=r"needs \d+ cores, and (fewer of chip 'uneven' are large enough|chip 'uneven' has 12)"
    ):
        map_network(groups(5, 12), chip)
    verdict = fit(network_file(), chip)
    assert not verdict["fits"]
    more = with_chips(chip, verdict["chips"])
    assert fit(network_file(), more)["fits"]
    assert not fit(network_file(), with_chips(chip, verdict["chips"] - 1))["fits"]


def network_file() -> str:
    return "examples/digits.safetensors"


def test_a_system_repeats_the_chip() -> None:
    chip = with_chips(uneven({"1": {"neurons_per_core": 3.0}}), 2)
    assert [chip.limit_of("neurons_per_core", c) for c in (0, 1, 12, 13)] == [12.0, 3.0, 12.0, 3.0]
    assert chip.limit_of("in_axons_per_core", 1) is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"12": {"neurons_per_core": 3}}, r"\$\.core_limits\.12: names no cores of 0\.\.11"),
        ({"3-1": {"neurons_per_core": 3}}, r"names no cores"),
        ({"all": {"neurons_per_core": 3}}, r"names no cores"),
        (
            {"3": {"neurons": 3}},
            r"\$\.core_limits\.3\.neurons: is no limit of a core. Limits of a core: neurons_per_core",
        ),
        ({"3": {"state_bytes_per_neuron": 3}}, r"is no limit of a core"),
        ({"3": {"neurons_per_core": 0}}, r"\$\.core_limits\.3\.neurons_per_core: is 0; .* List broken cores instead"),
    ],
)
def test_bad_limits_of_cores_are_refused(limits: dict[str, Any], message: str) -> None:
    raw = json.loads(msgspec.json.encode(uneven({}))) | {"core_limits": limits}
    with pytest.raises(InputError, match=message):
        parse_chip(json.dumps(raw), "mine.yaml")


def test_ranges_of_cores() -> None:
    assert [core_range(t) for t in ("7", "0-3", "", "a", "3-", "-3")] == [
        (7, 7),
        (0, 3),
        (-1, -1),
        (-1, -1),
        (3, 3),
        (-1, -1),
    ]


def test_even_networks_are_unchanged() -> None:
    network: Network = groups(3, 10)
    plain, same = uneven({}), uneven({"0-11": {"neurons_per_core": 12.0}})
    first, second = (map_network(network, c, "blocks").program.core for c in (plain, same))
    np.testing.assert_array_equal(first, second)
