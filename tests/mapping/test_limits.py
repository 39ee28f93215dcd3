"""Each capability and each limit of a chip: a model one beyond it is refused with object, quantity, value, limit, way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import bimhw
from bimhw.runs.bench import bench
from bimhw.runs.request import How, Request
from mapping.blocks import map_blocks, to_program
from mapping.limits import check_capabilities, check_core_count, check_limits, unchecked
from mapping.network import Network
from mapping.usage import usage
from mapping.words import stored_for
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.chips.load import parse_chip
from simulator.program.graph import Population, Projection, dense_to_csr

LIMITS = {
    "neurons_per_core": 8,
    "synapse_bytes_per_core": 64,
    "state_bytes_per_core": 200,
    "in_axons_per_core": 6,
    "out_axons_per_core": 12,
    "state_bytes_per_neuron": 12,
}
CAN: dict[str, Any] = {
    "neuron_models": ["li", "lif", "readout_li", "bim_d_delta_graded"],
    "spikes": "graded",
    "graded_bits": 16,
    "weight_bits": [4, 8],
    "max_delay": 3,
    "learning": ["stdp"],
}


def make_chip(cores: int = 8, broken: tuple[int, ...] = (), limits: dict[str, Any] | None = None, **can: Any) -> Chip:
    import json

    quantity = {"source": "test", "quality": "assumed"}
    both = LIMITS | (limits or {})
    return parse_chip(
        json.dumps(
            {
                "name": "tiny",
                "title": "A tiny chip",
                "process_nm": None,
                "capabilities": CAN | can,
                "topology": {
                    "width": 4, "height": 4, "cores_per_router": 1, "usable_cores": cores, "broken_cores": list(broken),
                },
                "limits": {k: quantity | {"value": v, "unit": "B" if "bytes" in k else "1"} for k, v in both.items()},
                "timing": None,
                "energy": {"synaptic_event": {"value": None, "unit": "pJ", "source": "none", "quality": "unverified"}},
            }
        ),
        "test",
    )  # fmt: skip


def net(
    n_in: int = 4,
    n: int = 4,
    delay: int = 0,
    bits: int = 8,
    model: str = "li",
    plastic: str = "",
    payload_bits: int = 0,
    weight: int = 1,
) -> Network:
    indptr, indices, weights = dense_to_csr(np.full((n, n_in), weight, np.int16))
    q = Projection("p", "in", "out", "in", indptr, indices, weights, delay, 0, bits, "dense", 0, plastic)
    populations = (
        Population("in", "input", n_in, role="input"),
        Population("out", model, n, {"dv": np.asarray(0), "bias": np.asarray(0)}, layer=1),
    )
    meta = {"input": {"population": "in", "payload_bits": payload_bits}}
    return Network("integer", populations, (q,), meta)


@pytest.mark.parametrize(
    ("network", "can", "parts"),
    [
        (net(model="izhikevich"), {}, ["'out'", "'izhikevich'", "'tiny'", "li, lif"]),
        (net(payload_bits=5), {"spikes": "binary", "graded_bits": 0}, ["'in'", "graded", "binary", "Encode"]),
        (net(payload_bits=17), {}, ["'in'", "17 bits", "carries 16", "Scale"]),
        (net(model="bim_d_delta_graded"), {"graded_bits": 15}, ["'out'", "16 bits", "carries 15"]),
        (net(delay=4), {}, ["'p'", "4 steps", "at most 3", "relay"]),
        (net(bits=12, weight=128), {}, ["'p'", "128..128", "9 bits", "4, 8", "--bits"]),
        (net(bits=5, plastic="stdp"), {}, ["'p'", "5 bits", "4, 8", "--bits"]),
        (net(plastic="rtrl"), {}, ["'p'", "'rtrl'", "stdp", "without learning"]),
    ],
)
def test_capability_one_beyond_is_refused(network: Network, can: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(FitError) as error:
        check_capabilities(network, make_chip(**can))
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("weight", "declared", "stored"),
    [(7, 16, 4), (-8, 16, 4), (8, 16, 8), (-9, 16, 8), (127, 16, 8), (7, 5, 4), (3, 8, 8), (1, 1, 4)],
)
def test_width_of_integers_is_judged_by_values(weight: int, declared: int, stored: int) -> None:
    network, chip = net(bits=declared, weight=weight), make_chip()
    check_capabilities(network, chip)
    assert stored_for(network, chip).projections[0].weight_bits == stored


def test_width_is_one_for_compile_fit_and_bench(tmp_path: Path) -> None:
    """A file of 4-bit values in int8 runs on a chip of 4-bit words by every command, and one value more by none."""
    arrays = {
        "indptr": np.array([0, 1, 2]), "indices": np.array([1, 1]), "weights": np.array([7, -8], np.int8),
        "bias": np.zeros(2, int), "v0": np.zeros(2, int), "thr": np.array(3), "n_in": np.array(1),
        "in_ptr": np.array([0, 1, 2]), "in_idx": np.array([0, 0]), "core": np.zeros(2, int),
    }  # fmt: skip
    chip = make_chip(weight_bits=[4], neuron_models=["*"], limits={"state_bytes_per_neuron": 64})
    timed = tmp_path / "w4.yaml"
    content = msgspec.to_builtins(chip)
    timed.write_bytes(msgspec.json.encode(content))
    np.savez(tmp_path / "good.npz", **arrays)  # type: ignore[arg-type]
    np.savez(tmp_path / "bad.npz", **arrays | {"weights": np.array([8, -8], np.int8)})  # type: ignore[arg-type]
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    assert bimhw.compile(good, chip).program.projections[0].weight_bits == 4
    assert bimhw.fit(good, chip)["fits"]
    for mapping in ("file", "auto"):
        assert bench(good, chip=str(timed), engine="none", mapping=mapping).spikes == 3
    assert not bimhw.fit(bad, chip)["fits"]
    wide = bimhw.compile(bad, "generic").program
    runs = (
        lambda: bimhw.compile(bad, chip),
        lambda: bench(bad, chip=str(timed), engine="none"),
        lambda: Request(wide, [], chip, 1, how=How("none")),
    )
    for run in runs:
        with pytest.raises(FitError, match="need 5 bits"):
            run()


def test_capabilities_at_the_limit_are_accepted() -> None:
    check_capabilities(net(delay=3, bits=4, plastic="stdp", payload_bits=16), make_chip())
    check_capabilities(net(model="izhikevich"), make_chip(neuron_models=["*"]))


def on_core_0(network: Network, chip: Chip) -> None:
    first = network.populations[0].size
    core = np.zeros(first + network.n_neurons, np.int32)
    core[:first] = -1
    program = to_program(network, chip, core)
    check_limits(program, chip, usage(program, chip))


# quantity, network at the limit, network one beyond, the value found there
AT_LIMIT: list[tuple[str, Network, Network, str]] = [
    ("neurons", net(1, 8), net(1, 9), "needs 9 neurons"),
    ("synapse_bytes", net(8, 8), net(9, 8), "needs 72 synapse_bytes"),
    ("in_axons", net(6, 2), net(7, 2), "needs 7 in_axons"),
]


@pytest.mark.parametrize(("name", "fits", "beyond", "value"), AT_LIMIT)
def test_limit_one_beyond_is_refused(name: str, fits: Network, beyond: Network, value: str) -> None:
    loose = {f"{k}_per_core": None for k in ("neurons", "synapse_bytes", "state_bytes", "in_axons", "out_axons")}
    chip = make_chip(limits=loose | {f"{name}_per_core": LIMITS[f"{name}_per_core"]})
    on_core_0(fits, chip)
    with pytest.raises(FitError) as error:
        on_core_0(beyond, chip)
    for part in ("core 0 (out)", value, "chip 'tiny' allows", f"{LIMITS[f'{name}_per_core']}"):
        assert part in str(error.value)
    assert error.value.way_out


def test_state_limits_one_beyond_are_refused() -> None:
    """li: one 32-bit state and one 24-bit accumulator, 7 bytes a neuron; dv, bias shared: 45 bits."""
    network = net(1, 3)
    need = (3 * 56 + 45 + 7) // 8
    on_core_0(network, make_chip(limits={"state_bytes_per_core": need, "state_bytes_per_neuron": 7}))
    with pytest.raises(FitError, match=rf"core 0 \(out\): needs {need} state_bytes, .* allows {need - 1}"):
        on_core_0(network, make_chip(limits={"state_bytes_per_core": need - 1}))
    with pytest.raises(FitError, match=r"neuron: needs 7 state_bytes_per_neuron, .* allows 6"):
        on_core_0(network, make_chip(limits={"state_bytes_per_neuron": 6}))


def test_out_axons_one_beyond_are_refused() -> None:
    """Two neurons that each reach all cores: 2 x 3 out-axons on their core."""
    indptr, indices, weights = dense_to_csr(np.ones((3, 2), np.int8))
    q = Projection("q", "a", "b", "in", indptr, indices, weights)
    shared = {"dv": np.asarray(0), "bias": np.asarray(0)}
    network = Network("integer", (Population("a", "li", 2, shared), Population("b", "li", 3, shared)), (q,))
    core = np.array([0, 0, 1, 2, 3], np.int32)
    for limit, fits in ((6, True), (5, False)):
        chip = make_chip(limits={"out_axons_per_core": limit})
        program = to_program(network, chip, core)
        if fits:
            check_limits(program, chip, usage(program, chip))
            continue
        with pytest.raises(FitError, match=r"core 0 \(a\): needs 6 out_axons, .* allows 5"):
            check_limits(program, chip, usage(program, chip))


def test_core_count_and_broken_cores() -> None:
    network = net(1, 16)
    program, _ = map_blocks(network, make_chip(cores=2))
    assert sorted(set(program.core[1:].tolist())) == [0, 1]
    with pytest.raises(FitError, match=r"program: needs 3 cores, and chip 'tiny' has 2\. Use 2 chips"):
        map_blocks(net(1, 17), make_chip(cores=2))
    program, _ = map_blocks(network, make_chip(cores=4, broken=(0, 2)))
    assert sorted(set(program.core[1:].tolist())) == [1, 3]
    with pytest.raises(FitError, match=r"core 0: is broken"):
        check_core_count(to_program(network, make_chip(), np.zeros(17, np.int32)), make_chip(broken=(0,)))
    with pytest.raises(FitError, match=r"core 9: does not exist: .* 0\.\.7"):
        check_core_count(to_program(network, make_chip(), np.full(17, 9, np.int32)), make_chip())


def test_blocks_are_halved_until_the_axons_fit() -> None:
    """Each target neuron has its own three sources, so a core of k neurons has 3 k in-axons."""
    matrix = np.kron(np.eye(6, dtype=np.int8), np.ones((1, 3), np.int8))
    indptr, indices, weights = dense_to_csr(matrix)
    q = Projection("p", "in", "out", "in", indptr, indices, weights)
    shared = {"dv": np.asarray(0), "bias": np.asarray(0)}
    network = Network("integer", (Population("in", "input", 18), Population("out", "li", 6, shared)), (q,))
    program, resources = map_blocks(network, make_chip())
    assert {r.name: r.worst for r in resources}["in_axons"] <= LIMITS["in_axons_per_core"]
    assert len(set(program.core[18:].tolist())) >= 3


def test_fan_in_of_one_neuron_beyond_a_core_is_refused() -> None:
    with pytest.raises(FitError, match=r"core 0 .*needs 7 in_axons"):
        map_blocks(net(7, 1), make_chip())
    with pytest.raises(FitError, match=r"'out': has a neuron that needs 520 synapse bits, and a core of .* has 512"):
        map_blocks(net(65, 1), make_chip(limits={"in_axons_per_core": None}))


def test_unpublished_limits_are_not_checked_and_said() -> None:
    chip = make_chip(limits=dict.fromkeys(LIMITS))
    program, resources = map_blocks(net(40, 40), chip)
    assert set(program.core[40:].tolist()) == {0}
    assert unchecked(resources) == [r.name for r in resources]


def test_memory_that_synapses_and_states_share() -> None:
    """8 neurons of 7 bytes with 8 synapses of 8 bits each, and 45 shared bits: 64 + 62 bytes."""
    network = net(8, 8)
    loose = {f"{k}_per_core": None for k in ("synapse_bytes", "state_bytes", "in_axons", "out_axons")}
    on_core_0(network, make_chip(limits=loose | {"memory_bytes_per_core": 126}))
    with pytest.raises(
        FitError, match=r"core 0 \(out\): needs 126 memory_bytes, .* allows 125\. Use fewer weight bits"
    ):
        on_core_0(network, make_chip(limits=loose | {"memory_bytes_per_core": 125}))
    program, resources = map_blocks(network, make_chip(limits=loose | {"memory_bytes_per_core": 125}))
    assert len(set(program.core[8:].tolist())) == 2
    assert {r.name: r.worst for r in resources}["memory_bytes"] <= 125
    with pytest.raises(FitError, match=r"'out': has a neuron that needs 120 bits of synapses and states, .* has 115"):
        map_blocks(network, make_chip(limits=loose | {"memory_bytes_per_core": 20}))
