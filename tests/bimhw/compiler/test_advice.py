"""Advice names the layer that loses by quantisation, its outlier, and what helps, with figures that compile then reaches."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import nn

import bimhw
from bimhw.models.stack import LIF, Stack

X = (np.random.default_rng(0).random((2, 20, 16)) < 0.4).astype(np.int32)


def stack(outlier: float) -> Stack:
    torch.manual_seed(0)
    net = Stack(nn.Linear(16, 24, bias=False), LIF(0.8), nn.Linear(24, 8, bias=False), LIF(0.8))
    if outlier:
        with torch.no_grad():
            net[2].weight[3, 5] = outlier
    return net


def advised(**options: Any) -> tuple[list[str], dict[str, float]]:
    outlier = options.pop("outlier", 0.0)
    made = bimhw.compile(stack(outlier), "loihi2", calibration=X, **options)
    notes = [note for note in made.report["notes"] if "stored weights are" in note]
    return notes, {p["name"]: p["relative_rms_weight_error"] for p in made.report["projections"]}


def test_eight_bits_need_no_advice() -> None:
    assert advised()[0] == []


def test_an_outlier_is_named_with_what_helps() -> None:
    (note,), errors = advised(outlier=20.0)
    assert "projection '3.1'" in note and "the weight 20 from neuron 5 to 3" in note
    said = {k: float(v) / 100 for k, v in re.findall(r"([a-z-]+(?: --free-scales)?): ([\d.]+)%", note)}
    reached = advised(outlier=20.0, per_row=True, free_scales=True)[1]["3.1"]
    assert abs(said["--per-row --free-scales"] - reached) < 0.002 and reached < errors["3.1"] / 10


def test_few_bits_are_worst_first_and_the_bits_that_suffice_are_right() -> None:
    notes, errors = advised(bits=3)
    assert len(notes) == 2
    named = [re.search(r"projection '([^']+)'", note) for note in notes]
    order = [errors[m[1]] for m in named if m]
    assert order == sorted(order, reverse=True) and min(order) > 0.05
    bits = re.search(r"--bits (\d): ([\d.]+)%", notes[0])
    assert bits and named[0]
    again = advised(bits=int(bits[1]))[1][named[0][1]]
    assert abs(again - float(bits[2]) / 100) < 0.01
