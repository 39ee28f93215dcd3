"""Convolutions counted by their pattern: the same verdict as unrolled, and large nets in seconds and megabytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bimhw
from bimhw.frontends.nir import lower as nir_lower
from bimhw.frontends.stack import module_network, module_outline
from bimhw.models.stack import LIF, Stack
from mapping.patterned import PatternProjection, _boxes, pattern_axons
from simulator.program.axons import axon_table
from simulator.program.graph import csr_to_dense
from simulator.program.program import Program


def net(seed: int, stride: int, dilation: int, groups: int, pool: bool) -> Stack:
    torch.manual_seed(seed)
    layers: list[Any] = [nn.Conv2d(2, 4, 3, padding=1), LIF(0.875)]
    layers += [nn.AvgPool2d(2)] if pool else []
    layers += [nn.Conv2d(4, 6, 3, stride, 1, dilation, groups), LIF(0.5), nn.Flatten(), nn.LazyLinear(5), LIF(0.5)]
    made = Stack(*layers, input_shape=(2, 9, 8))
    made(torch.zeros(1, 2, 9, 8))
    with torch.no_grad():
        for p in made.parameters():  # no weight that rounds to 0
            p.copy_(torch.sign(p) * (0.5 + torch.rand_like(p) / 2))
    return made


CASES = given(st.integers(0, 999), st.integers(1, 2), st.integers(1, 2), st.sampled_from([1, 2]), st.booleans())


@settings(deadline=None, max_examples=15)
@CASES
def test_patterns_are_the_nonzeros_of_the_unrolled_matrices(
    seed: int, stride: int, dilation: int, groups: int, pool: bool
) -> None:
    module = net(seed, stride, dilation, groups, pool)
    unrolled = module_network(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nir_lower, "OUTLINE_FROM", 0)
        counted = module_outline(module)
    assert counted is not None and [q.name for q in counted.projections] == [q.name for q in unrolled.projections]
    rng, sizes = np.random.default_rng(seed), [p.size for p in unrolled.populations]
    core = np.concatenate(
        [np.full(sizes[0], -1), *(np.sort(rng.integers(0, 7, n)) + 3 * k for k, n in enumerate(sizes[1:]))]
    )
    programs = [Program("", "", n.populations, n.projections, core.astype(np.int32)) for n in (unrolled, counted)]
    for q, p in zip(unrolled.projections, counted.projections, strict=True):
        assert isinstance(p, PatternProjection) and (p.layout, p.shared_words, p.delay) == (
            q.layout if q.layout == "conv" else "sparse",
            q.shared_words,
            q.delay,
        )
        dense = csr_to_dense(q, unrolled.population(q.target).size) != 0
        np.testing.assert_array_equal(p.pattern.fan_in, dense.sum(axis=1))
        low, high = sorted(rng.integers(0, dense.shape[0] + 1, 2).tolist())
        np.testing.assert_array_equal(p.pattern.reached_by(low, high), dense[low:high].any(axis=0))
        assert p.peak >= np.abs(q.weights).max()
    axons = axon_table(programs[0])
    into, fan = pattern_axons(programs[1])
    np.testing.assert_array_equal(into, np.bincount(axons.dst, minlength=into.size))
    np.testing.assert_array_equal(fan, axons.fan_cores)


@settings(deadline=None, max_examples=4)
@CASES
def test_the_verdict_is_that_of_the_unrolled_network(
    seed: int, stride: int, dilation: int, groups: int, pool: bool
) -> None:
    """Chips without shared kernels: every figure. With them the outline asks less: a core holds its own channels only."""
    module = net(seed, stride, dilation, groups, pool)
    for chip in ("spinnaker2", "generic"):
        wanted = bimhw.fit(module, chip)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nir_lower, "OUTLINE_FROM", 0)
            got = bimhw.fit(module, chip)
        for one, other in zip(got["resources"], wanted["resources"], strict=True):
            if chip == "spinnaker2" or one["name"] not in ("synapse_bytes", "memory_bytes"):
                assert one == other
        for key in ("fits", "cores", "neurons", "synapses", "chips"):
            assert got[key] == wanted[key], key


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_a_range_of_an_array_is_split_into_boxes(shape: list[int], data: st.DataObject) -> None:
    size = int(np.prod(shape))
    low = data.draw(st.integers(0, size))
    high = data.draw(st.integers(low, size))
    seen = np.zeros(shape, int)
    for box in _boxes(low, high, tuple(shape)):
        seen[tuple(slice(a, b) for a, b in box)] += 1
    wanted = (np.arange(size) >= low) & (np.arange(size) < high)
    np.testing.assert_array_equal(seen.reshape(-1), wanted)


def test_a_layer_of_69_million_synapses_is_judged_by_its_294912_words() -> None:
    found = bimhw.fit(Stack(nn.Conv2d(64, 512, 3, padding=1), LIF(0.875), input_shape=(64, 16, 16)), "loihi2")
    words = {r["name"]: r["total"] for r in found["resources"]}["synapse_bytes"]
    assert found["fits"] and found["cores"] == 16 and words == 64 * 512 * 9
    assert found["synapses"] == 64 * 512 * (3 * 16 - 2) ** 2  # the border has no synapses
    refused = {c["chip"]: c["reason"] for c in found["other_chips"]}
    assert "576 inputs" in refused["reckon"]
