"""Leaky networks in Loihi 1's own neuron: the same where it can say it, refused by name where it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bimhw
from bimhw.compiler.lower.for_chip import for_chip
from bimhw.frontends.stack import module_network
from bimhw.models.stack import IF, LI, LIF, CubaLIF, Recurrent, Stack
from mapping.float_run import record
from simulator.base.errors import FitError
from simulator.chips.load import load_chip
from simulator.function import run_samples
from tests.bimhw.compiler.beside import compare


def dyadic(net: Stack, seed: int, grid: int = 32) -> Stack:
    import torch

    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in net.double().parameters():
            p.copy_(torch.from_numpy(rng.integers(-grid, grid + 1, p.shape) / grid))
    return net


def stack(kind: str, keep: float, keep_u: float) -> Stack:
    def neuron() -> Any:
        return {"IF": IF(), "LIF": LIF(keep), "CubaLIF": CubaLIF(keep_u, keep)}[kind]

    return Stack(
        nn.Linear(6, 8, bias=False),
        Recurrent(neuron(), nn.Linear(8, 8, bias=False)),
        nn.Linear(8, 4, bias=False),
        neuron(),
    )


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["IF", "LIF", "CubaLIF"]),
    st.sampled_from([0.5, 0.75]),
    st.sampled_from([0.25, 0.5]),
    st.integers(0, 99),
)
def test_the_float_network_is_the_same_in_loihis_neuron(kind: str, keep: float, keep_u: float, seed: int) -> None:
    network = module_network(dyadic(stack(kind, keep, keep_u), seed))
    other = for_chip(network, load_chip("loihi1"))
    assert {p.model for p in other.populations} == {"input", "loihi_cuba"}
    x = {"input": (np.random.default_rng(seed).random((2, 20, 6)) < 0.4).astype(np.float64)}
    probes = [(p.name, "out") for p in network.populations if p.model != "input"]
    wanted, got = record(network, x, 22, probes), record(other, x, 22, probes)
    for probe in probes:
        np.testing.assert_array_equal(got[probe], wanted[probe])


def test_weights_on_the_grid_change_no_spike_on_loihi1() -> None:
    chip = load_chip("loihi1")
    payloads = (np.random.default_rng(0).random((3, 40, 6)) < 0.5).astype(np.int32)
    result = bimhw.compile(dyadic(stack("IF", 0, 0), 3), chip, calibration=payloads)
    found = compare(result, payloads, chip.topology)
    assert sum(d.differ for d in found.populations) == 0
    assert all(d.float_rate > 0.01 for d in found.populations)


def test_a_constant_input_becomes_a_bias_with_its_exponent() -> None:
    """One neuron without input, bias 0.3 and threshold 1: it fires every fourth step, whatever the weights' unit.

    Its first step is chip step 1: the constant input of chip step 0 is made up for by the start value.
    """
    import torch

    chip = load_chip("loihi1")
    net = Stack(nn.Linear(1, 1), IF()).double()
    with torch.no_grad():
        net[0].weight.fill_(0.75)
        net[0].bias.fill_(0.3)
    program = bimhw.compile(net, chip, calibration=np.ones((1, 8, 1), np.int32)).program
    (neuron,) = [p for p in program.populations if p.model == "loihi_cuba"]
    assert int(np.max(neuron.params["bias_mant"])) <= 4095
    silent = bimhw.SpikeTrain.from_dense(np.zeros((16, 1), np.int32))
    run = run_samples(program, [silent], 16, topology=chip.topology)
    assert np.flatnonzero(np.diff(run.spikes[0].ptr)).tolist() == [4, 8, 12]


@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        (LI(0.5), "emits its membrane"),
        (LIF(0.5, cmp=">="), "fires at its threshold"),
        (LIF(0.5, reset="soft"), "resets otherwise than to 0"),
        (LIF(0.5, v_reset=-0.5), "resets otherwise than to 0"),
        (LIF(0.5, theta=-1.0), "threshold that is not positive"),
        (CubaLIF(0.5, 0.5), "adds a constant to its synaptic current"),
        (CubaLIF(1.0, 0.5), "4095/4096"),
    ],
)
def test_what_loihis_neuron_cannot_say_is_refused_by_name(neuron: Any, reason: str) -> None:
    constant = not isinstance(neuron, CubaLIF) or float(neuron.keep_u or 0) < 1
    network = module_network(Stack(nn.Linear(3, 2, bias=constant), neuron))
    with pytest.raises(FitError, match=rf"population '1'.*{reason}.*loihi1.*programmable"):
        for_chip(network, load_chip("loihi1"))
    assert for_chip(network, load_chip("loihi2")) is network


def test_thresholds_beyond_the_word_are_refused() -> None:
    network = module_network(dyadic(Stack(nn.Linear(3, 2, bias=False), LIF(0.5, theta=10_000.0)), 1))
    with pytest.raises(FitError, match="above 131071"):
        bimhw.compile(replace(network), "loihi1", calibration=np.ones((1, 4, 3), np.int32))
