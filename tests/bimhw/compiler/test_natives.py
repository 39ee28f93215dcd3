"""Leaky stacks in the chips' own neurons: equal in the float engine, and to the bit what a loop in plain Python computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bimhw
from bimhw.compiler.lower.for_chip import for_chip
from bimhw.compiler.lower.natives.base import Native, register, unregister
from bimhw.compiler.lower.start import before, decayed, start_value
from bimhw.frontends.stack import module_network
from bimhw.models.stack import IF, LI, LIF, CubaLIF, Stack
from mapping.float_run import record
from mapping.network import Network
from simulator.base.errors import FitError
from simulator.chips.load import load_chip
from simulator.function import run_samples
from simulator.program.graph import Population, Projection, csr_to_dense, dense_to_csr
from simulator.program.program import Program
from tests.bimhw.compiler.beside import compare

BITS = {"truenorth": 2, "odin": 4, "reckon": 8, "loihi1": 8}
CHIPS = ("odin", "reckon", "truenorth")
SYSTEM = {"odin": 2, "reckon": 2}  # chips of one core: a layer on each
STEPS = 30


def dyadic(net: Stack, seed: int, grid: int = 7) -> Stack:
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in net.double().parameters():
            p.copy_(torch.from_numpy(rng.integers(-grid, grid + 1, p.shape) / 8))
    return net


def stack(neuron: Any, seed: int, last: Any = None, grid: int = 7) -> Stack:
    layers = [nn.Linear(6, 9), neuron(), nn.Linear(9, 5), last or neuron()]
    return dyadic(Stack(*layers), seed, grid)


def payloads(seed: int) -> Any:
    return (np.random.default_rng(seed).random((2, STEPS, 6)) < 0.5).astype(np.int32)


def plain_run(program: Program, x: Any) -> dict[str, Any]:
    """Spikes [T, n] of a program of ``lif``, ``if`` and ``li``, one neuron at a time in Python's integers."""
    pops = {p.name: p for p in program.populations}
    out = {name: np.zeros((len(x), p.size), int) for name, p in pops.items()}
    state = {name: [[int(v), 0] for v in _row(p, "v_init")] for name, p in pops.items() if p.model != "input"}
    for t in range(len(x)):
        for name, p in pops.items():
            if p.model == "input":
                out[name][t] = x[t]
                continue
            for i in range(p.size):
                acc = 0
                for q in program.projections:
                    if q.target != name or t - 1 - q.delay < 0:
                        continue
                    for j in np.flatnonzero(out[q.source][t - 1 - q.delay]):
                        row = slice(q.indptr[j], q.indptr[j + 1])
                        hit = np.flatnonzero(q.indices[row] == i)
                        if hit.size:
                            acc += int(q.weights[row][hit[0]]) << q.exponent
                word = {k: int(_row(p, k)[i]) for k in p.params}
                v, held = state[name][i]
                v = (abs(v) * (4096 - word.get("dv", 0)) // 4096) * (1 if v >= 0 else -1) + acc + word["bias"]
                over = "vth" in word and (v > word["vth"] or (v == word["vth"] and not word.get("strict", 0)))
                fired = over and not held
                held = word.get("refractory", 0) if fired else max(held - 1, 0)
                if fired:
                    v = v - word["vth"] if word["soft"] else word["v_reset"]
                state[name][i] = [v, held]
                out[name][t, i] = int(fired)
    return out


def _row(p: Population, name: str) -> Any:
    return np.broadcast_to(p.params.get(name, 0), p.size)


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(CHIPS),
    st.sampled_from([0.0, 0.5, 0.875, 1.0]),
    st.sampled_from(["hard", "soft"]),
    st.sampled_from([">", ">="]),
    st.sampled_from([0.0, -0.25]),
    st.integers(0, 999),
)
def test_equal_in_the_float_engine(chip: str, keep: float, reset: Any, cmp: Any, v_reset: float, seed: int) -> None:
    network = module_network(stack(lambda: LIF(keep, reset=reset, cmp=cmp, v_reset=v_reset), seed))
    other = for_chip(network, load_chip(chip))
    assert {p.model for p in other.populations} == {"input", "lif"}
    x = {"input": payloads(seed).astype(float)}
    probes = [(p.name, "out") for p in network.populations if p.model != "input"]
    wanted, got = record(network, x, STEPS + 2, probes), record(other, x, STEPS + 2, probes)
    for probe in probes:
        np.testing.assert_array_equal(got[probe], wanted[probe])


@settings(deadline=None, max_examples=8)
@given(st.sampled_from(CHIPS), st.sampled_from([0.75, 1.0]), st.sampled_from(["hard", "soft"]), st.integers(0, 999))
def test_the_chip_computes_what_plain_python_does(chip: str, keep: float, reset: Any, seed: int) -> None:
    last = LI(0.5) if chip == "reckon" else None
    x = payloads(seed)
    made = bimhw.compile(
        stack(lambda: LIF(keep, reset=reset), seed, last),
        chip,
        calibration=x,
        bits=BITS[chip],
        chips=SYSTEM.get(chip, 1),
    )
    steps = int(made.program.meta["chip_steps"])
    padded = np.concatenate([x[0], np.zeros((steps - STEPS, 6), np.int32)])
    wanted = plain_run(made.program, padded)
    train = bimhw.SpikeTrain.from_dense(padded)
    spikes = run_samples(made.program, [train], steps, topology=load_chip(chip).topology).spikes[0]
    first = made.program.first_ids()
    for p in made.program.populations[1:]:
        np.testing.assert_array_equal(spikes.to_dense(first[p.name], p.size), wanted[p.name])


@pytest.mark.parametrize("chip", ["truenorth", "odin", "reckon", "loihi1"])
def test_neurons_without_leak_on_the_grid_change_no_spike(chip: str) -> None:
    """With biases too, in the second layer as well: the start value makes up for the steps before the first input."""
    x = payloads(1)
    theta, grid = (0.25, 1) if chip == "truenorth" else (2.0, 7)
    net = stack(lambda: IF(theta) if chip == "loihi1" else IF(theta, reset="soft"), 5, grid=grid)
    made = bimhw.compile(net, chip, calibration=x, bits=BITS[chip], chips=SYSTEM.get(chip, 1))
    assert any(np.any(_row(p, "bias")) or np.any(_row(p, "bias_mant")) for p in made.program.populations)
    found = compare(made, x, load_chip(chip).topology).populations
    assert sum(d.differ for d in found) == 0 and all(d.float_rate > 0.01 for d in found)
    assert not [note for note in made.report["notes"] if "cannot wait" in note]


@given(st.integers(-(2**20), 2**20), st.integers(0, 4095))
def test_the_start_value_is_a_preimage_of_the_decay(v: int, dv: int) -> None:
    found = before(np.asarray(v), np.asarray(dv))
    assert int(decayed(found, np.asarray(dv))) == v


def test_a_start_that_cannot_be_made_up_for_is_said() -> None:
    never = lambda v: np.zeros(v.shape, bool)  # noqa: E731
    big, none = np.asarray(1000), np.asarray(0)
    assert start_value(none, np.asarray(0), big, 3, 2**23, never) == (-3000, True)
    assert not start_value(none, np.asarray(2048), big, 30, 2**23, never)[1]  # -1000 (2^30 - 1) is no 24-bit word
    assert not start_value(none, none, -big, 3, 2**23, lambda v: v > 500)[1]  # starts at +3000 and fires
    net = Stack(nn.Linear(2, 2), IF(0.1), nn.Linear(2, 2), IF(0.1))
    with torch.no_grad():
        net[2].bias.fill_(-3.0)
    made = bimhw.compile(net, "odin", calibration=np.ones((1, 8, 2), np.int32), bits=4, chips=2)
    assert any("population '3' starts 2 steps before" in note for note in made.report["notes"])


@pytest.mark.parametrize(
    ("chip", "last", "reason"),
    [
        ("odin", LI(0.5), "emits its membrane, which the neuron 'lif' cannot do. Chip 'odin'"),
        ("truenorth", CubaLIF(0.5, 0.5), "has a synaptic current that decays.*'lif'.*'if'"),
    ],
)
def test_what_no_neuron_of_a_chip_says_is_refused_by_name(chip: str, last: Any, reason: str) -> None:
    with pytest.raises(FitError, match=rf"population '3': {reason}.*programmable"):
        for_chip(module_network(stack(IF, 0, last)), load_chip(chip))


def test_a_membrane_that_others_hear_is_no_li() -> None:
    with pytest.raises(FitError, match="sends its membrane to other neurons"):
        for_chip(module_network(stack(lambda: LI(0.5), 0, IF())), load_chip("reckon"))


def test_a_float_izhikevich_takes_its_defaults_and_compiles_where_a_chip_has_it() -> None:
    weights = dense_to_csr(np.random.default_rng(0).uniform(0, 9000, (4, 6)))
    network = Network(
        "float",
        (
            Population("in", "input", 6, role="input"),
            Population("cells", "izhikevich", 4, {"a": np.asarray(1311.0)}, layer=1, role="output"),
        ),
        (Projection("w", "in", "cells", "in", *weights),),
    )
    x = payloads(3)
    for chip in ("odin", "loihi2"):
        made = bimhw.compile(network, chip, calibration=x, bits=4)
        (cells,) = [p for p in made.program.populations if p.name == "cells"]
        assert int(cells.params["u_init"]) == -3328
        (q,) = made.program.projections
        real = csr_to_dense(q, 4) * 2.0**q.exponent
        assert np.abs(real - csr_to_dense(network.projections[0], 4)).max() <= 2.0**q.exponent / 2
        found = compare(made, x, load_chip(chip).topology).populations[0]
        assert found.rate > 0.01 and abs(found.rate - found.float_rate) < 0.2 * found.float_rate


def test_a_converter_is_added_by_one_registration() -> None:
    register(
        Native(
            "izhikevich",
            ("leaky",),
            lambda p, heard: "",
            lambda p: Population(p.name, "izhikevich", p.size, {}, layer=p.layer),
        )
    )
    try:
        network = module_network(stack(lambda: CubaLIF(0.5, 0.5), 0))
        assert {p.model for p in for_chip(network, load_chip("odin")).populations[1:]} == {"izhikevich"}
    finally:
        unregister("izhikevich")


@pytest.mark.parametrize("chip", ["speck", "xylo"])
def test_chips_without_prices_judge_a_small_net_and_name_what_is_unknown(chip: str) -> None:
    first, last = (IF(), IF()) if chip == "speck" else (LIF(keep=0.875), LIF(keep=0.875))
    found = bimhw.fit(Stack(nn.Linear(16, 24), first, nn.Linear(24, 8), last), chip)
    assert found["fits"], found["reason"]
    assert [r["name"] for r in found["resources"] if r["limit"] is None]
    assert load_chip(chip).energy["synaptic_event"].value is None


def test_activations_of_four_bits_are_named_where_a_net_sends_more() -> None:
    found = bimhw.fit(Stack(nn.Linear(16, 24), LI(0.5), nn.Linear(24, 8), LI(0.5)), "akd1000")
    assert "carries 5" in found["reason"]


def test_a_core_of_speck_has_its_own_memory() -> None:
    chip = load_chip("speck")
    words = [chip.limit_of("neurons_per_core", c) for c in range(9)]
    kernels = [chip.limit_of("synapse_bytes_per_core", c) for c in range(9)]
    assert words == [65536] * 3 + [32768] * 2 + [16384] * 4
    assert kernels == [16384] * 3 + [32768] * 2 + [65536] * 2 + [16384] * 2
