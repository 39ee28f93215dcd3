"""Advice names the layer that loses by quantisation, its outlier, and what helps, with figures that compile then reaches."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bimhw
from bimhw.compiler.advice import MARK
from bimhw.compiler.state_advice import MARK as STATES
from bimhw.models.stack import LIF, Stack
from simulator.base.errors import FitError
from simulator.program.graph import csr_to_dense

X = (np.random.default_rng(0).random((2, 20, 16)) < 0.4).astype(np.int32)


def stack(outlier: float) -> Stack:
    torch.manual_seed(0)
    net = Stack(nn.Linear(16, 24, bias=False), LIF(0.8), nn.Linear(24, 8, bias=False), LIF(0.8))
    if outlier:
        with torch.no_grad():
            net[2].weight[3, 5] = outlier
    return net


def advised(**options: Any) -> tuple[list[str], dict[str, float]]:
    outlier, only = options.pop("outlier", 0.0), options.pop("only", "")
    made = bimhw.compile(stack(outlier), "loihi2", calibration=X, **options)
    notes = [note for note in made.report["notes"] if MARK in note]
    figure = "relative_rms_row_error" if any("receive" in note for note in notes) else "relative_rms_weight_error"
    return notes, {p["name"]: p[only or figure] for p in made.report["projections"]}


def test_eight_bits_need_no_advice() -> None:
    assert advised()[0] == []


def test_an_outlier_is_named_with_what_helps() -> None:
    (note,), errors = advised(outlier=20.0)
    assert "projection '3.1'" in note and "the weight 20 from neuron 5 to 3" in note
    said = {k: float(v) / 100 for k, v in re.findall(r"([a-z-]+(?: --free-scales)?): ([\d.]+)%", note)}
    reached = advised(outlier=20.0, per_row=True, free_scales=True)[1]["3.1"]
    assert (
        abs(said["--per-row --free-scales"] - reached) < 0.002 and reached < errors["3.1"] / 1.9
    )  # one row stays lost
    weights = {
        w: advised(outlier=20.0, per_row=w, free_scales=w, only="relative_rms_weight_error")[1] for w in (False, True)
    }
    assert weights[True]["3.1"] < weights[False]["3.1"] / 10


def test_few_bits_are_worst_first_and_the_bits_that_suffice_are_right() -> None:
    notes, errors = advised(bits=3)
    assert len(notes) == 2
    named = [re.search(r"projection '([^']+)'", note) for note in notes]
    order = [errors[m[1]] for m in named if m]
    assert order == sorted(order, reverse=True) and min(order) > 0.05
    bits = re.search(r"--bits (\d): ([\d.]+)%", notes[0])
    assert bits and named[0]
    again = advised(bits=int(bits[1]), only="relative_rms_row_error")[1][named[0][1]]
    assert abs(again - float(bits[2]) / 100) < 0.01


def rows_of(stored: np.ndarray, weights: np.ndarray, payloads: np.ndarray) -> float:
    """Return the rms over rows of what stored weights deliver amiss, by the definition, sources independent."""
    mean, power = payloads.mean((0, 1)), payloads.var((0, 1))
    miss = stored - weights
    e = ((miss**2) @ power + (miss @ mean) ** 2) / ((weights**2) @ power + (weights @ mean) ** 2)
    return float(np.sqrt(np.minimum(e, 1).mean()))


def test_outliers_from_silent_neurons_hide_no_row() -> None:
    """The rms of the weights is that of the outliers alone; every other weight of the layer becomes 0."""
    net = Stack(nn.Linear(16, 8, bias=False), LIF(0.8))
    x = X.copy()
    x[..., 15] = 0
    with torch.no_grad():
        net[0].weight[:] = 0.4
        net[0].weight[2, 15] = 300.0
    made = bimhw.compile(net, "loihi2", calibration=x)
    note = next(n for n in made.report["notes"] if MARK in n)
    assert (
        "receive is 100.0% off" in note and "127 of 128 weights become 0" in note and "300 from neuron 15 to 2" in note
    )
    assert made.report["projections"][0]["relative_rms_weight_error"] < 0.02
    assert made.report["fidelity"]["word"] == "approximate"
    again = bimhw.compile(net, "loihi2", calibration=x, per_row=True).report["projections"][0]
    said = re.search(r"--per-row: ([\d.]+)%", note)
    assert said and abs(float(said[1]) / 100 - again["relative_rms_row_error"]) < 0.002


def test_the_error_of_rows_is_that_of_its_definition() -> None:
    torch.manual_seed(1)
    net = Stack(nn.Linear(16, 8, bias=False), LIF(0.8))
    w = net[0].weight.detach().double().numpy() * np.linspace(1, 6, 8)[:, None]
    with torch.no_grad():
        net[0].weight[:] = torch.as_tensor(w)
    made = bimhw.compile(net, "loihi2", calibration=X, bits=3)
    (stored,) = made.network.projections
    whole = csr_to_dense(stored, 8) * np.float64(1)
    unit = float((w[whole != 0] / whole[whole != 0]).mean())
    unit = 2.0 ** round(np.log2(unit))
    found = made.report["projections"][0]["relative_rms_row_error"]
    fires = made.rates["1"] > 0
    assert 1 < fires.sum() < 8  # a silent neuron's row says nothing
    assert found == pytest.approx(rows_of(whole[fires] * unit, w[fires], X), rel=1e-3)


def test_weights_that_are_nothing_need_no_advice() -> None:
    net = stack(0.0)
    with torch.no_grad():
        net[2].weight[:, 4:] *= 1e-5
    assert not [n for n in bimhw.compile(net, "loihi2", calibration=X).report["notes"] if MARK in n]


def test_a_kernel_is_judged_by_channel() -> None:
    torch.manual_seed(0)
    net = Stack(nn.Conv2d(1, 4, 3, padding=1, bias=False), LIF(0.8))
    with torch.no_grad():
        net[0].weight[:] = net[0].weight.abs()
        net[0].weight[2, 0, 1, 1] = 90.0
    made = bimhw.compile(net, "loihi2", calibration=X.reshape(2, 20, 16), input_shape=(1, 4, 4))
    error = made.report["projections"][0]["relative_rms_row_error"]
    assert error == pytest.approx(np.sqrt(3 / 4), abs=0.02)  # three of four channels hear nothing


def test_a_row_that_is_large_as_a_whole_is_named_as_a_row() -> None:
    net = stack(0.0)
    with torch.no_grad():
        net[2].weight.abs_().mul_(4)  # all fire
        net[2].weight[3] *= 60
    made = bimhw.compile(net, "loihi2", calibration=X)
    (note,) = [note for note in made.report["notes"] if MARK in note]
    found = re.search(r"the weights to neuron 3 are (\d+) times the median row's and set its scale", note)
    assert found and 40 < int(found[1]) < 90
    said = re.search(r"--per-row: ([\d.]+)%", note)
    again = bimhw.compile(net, "loihi2", calibration=X, per_row=True).report["projections"]
    assert (
        said
        and abs(float(said[1]) / 100 - next(p["relative_rms_row_error"] for p in again if p["name"] == "3.1")) < 1e-3
    )


def _biased(bias: float) -> Stack:
    torch.manual_seed(0)
    net = Stack(nn.Linear(16, 24), LIF(0.8), nn.Linear(24, 8), LIF(0.8))
    with torch.no_grad():
        net[2].bias[3] = bias
    return net


@pytest.mark.parametrize("bias", [-300.0, -30000.0])
def test_an_outlying_bias_is_named_with_the_states_that_it_makes_coarse(bias: float) -> None:
    made = bimhw.compile(_biased(bias), "loihi2", calibration=X)
    (note,) = [note for note in made.report["notes"] if STATES in note]
    assert f"the bias {bias:.3g} of neuron 3 is " in note and "sets their range" in note
    share = re.search(r"steps of ([\d.]+), ([\d.]+)% of its threshold", note)
    wide = re.search(r"--state-bits 24: ([\d.]+)%", note)
    assert share and wide
    for bits, said in ((16, share[2]), (24, wide[1])):
        program = bimhw.compile(_biased(bias), "loihi2", calibration=X, state_bits=bits).program
        step = 2.0 ** -program.facts.formats[made.network.populations[-1].name]["v"]
        assert float(said) / 100 == pytest.approx(step, rel=0.05, abs=5e-5)


def test_a_plain_bias_has_no_advice_and_one_beyond_the_words_is_named() -> None:
    assert not [n for n in bimhw.compile(_biased(-2.0), "loihi2", calibration=X).report["notes"] if STATES in n]
    with pytest.raises(
        FitError, match=r"take none of its weights in: the bias -1e\+12 of neuron 3 is .*--state-bits 24"
    ):
        bimhw.compile(_biased(-1e12), "loihi2", calibration=X)
