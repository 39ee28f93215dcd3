"""Convolutions in memory: kernels once on each core where the chip can share them, lists of synapses where it cannot."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

import bimhw
from bimhw.compiler.decode import encode
from bimhw.models.stack import IF, Stack
from mapping.usage import usage
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import run_samples


def chip_that(shares: bool, **limits: float) -> Chip:
    chip = load_chip("loihi2")
    can = msgspec.structs.replace(chip.capabilities, shared_kernels=shares)
    new = {k: msgspec.structs.replace(getattr(chip.limits, k), value=v) for k, v in limits.items()}
    return msgspec.structs.replace(
        chip, name="mine", capabilities=can, limits=msgspec.structs.replace(chip.limits, **new)
    )


@pytest.fixture(scope="module")
def stack() -> Stack:
    torch.manual_seed(0)
    return Stack(
        nn.Conv2d(2, 6, 3, padding=1), IF(), nn.Conv2d(6, 8, 3, stride=2), IF(), nn.Flatten(), nn.Linear(72, 5), IF()
    )


def payloads() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(0).integers(0, 2, (2, 6, 2 * 8 * 8))


def compiled(stack: Stack, chip: Chip, **options: int) -> bimhw.CompileResult:
    return bimhw.compile(stack, chip, calibration=payloads(), input_shape=(2, 8, 8), mapping="blocks", **options)


def test_memory_of_both_formats_and_the_same_spikes(stack: Stack) -> None:
    shared, lists = compiled(stack, chip_that(True)), compiled(stack, chip_that(False))
    layouts = [[q.layout for q in r.program.projections] for r in (shared, lists)]
    assert layouts == [["conv", "conv", "dense"], ["sparse", "sparse", "dense"]]
    bits = [sum(r.used.sum() for r in usage(x.program, c) if r.name == "synapse_bytes") for x, c in
            ((shared, chip_that(True)), (lists, chip_that(False)))]  # fmt: skip
    kernels = 8 * (2 * 6 * 9 + 6 * 8 * 9) // 8
    a, b, _ = lists.program.projections
    index = [int(np.ceil(np.log2(n))) for n in (6 * 64, 8 * 9)]
    assert bits[0] == kernels + 72 * 5
    assert bits[1] == -(-a.n_synapses * (8 + index[0]) // 8) + -(-b.n_synapses * (8 + index[1]) // 8) + 72 * 5
    trains = [encode(shared.program, s) for s in payloads()]
    hashes = [[t.spike_hash() for t in run_samples(r.program, trains, 9).spikes] for r in (shared, lists)]
    assert hashes[0] == hashes[1]


def test_each_core_of_a_feature_map_holds_the_kernel(stack: Stack) -> None:
    """16 neurons a core: every core of a convolution holds its whole kernel, and no core more than the limit."""
    kernel = 6 * 8 * 9  # of the second convolution, bytes; the last layer's neurons need 72 each
    result = compiled(stack, chip_that(True, synapse_bytes_per_core=kernel), neurons_per_core=16)
    program = result.program
    used = next(r for r in usage(program, chip_that(True)) if r.name == "synapse_bytes").used
    first = program.first_ids()
    for q in program.projections[:2]:
        own = program.core[first[q.target] : first[q.target] + program.population(q.target).size]
        assert len(set(own.tolist())) > 1
        assert {int(used[c]) for c in own.tolist()} == {q.shared_words}
    assert used.max() <= kernel
    with pytest.raises(
        FitError, match=r"shares kernels that take 8 bits more than a core of chip 'mine' has for synapse bits"
    ):
        compiled(stack, chip_that(True, synapse_bytes_per_core=kernel - 1), neurons_per_core=16)
