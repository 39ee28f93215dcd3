"""Packets whose synapse the core keeps itself: blocks from one to one, held against a dictionary of synapses."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_models.chip_energy import chip_energy
from simulator.chips.load import load_chip
from simulator.function.counting import Counter, Tally
from simulator.program.axons import axon_table
from simulator.program.graph import Population, Projection
from simulator.program.one_to_one import one_to_one
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain


def projection(name: str, source: str, target: str, rows: list[list[int]]) -> Projection:
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    indices = np.array([j for r in rows for j in sorted(r)], np.int32)
    return Projection(name, source, target, "in", indptr, indices, np.ones(indices.size, np.int8))


def programmed(rows: dict[tuple[str, str], list[list[int]]], sizes: dict[str, int], core: list[int]) -> Program:
    populations = tuple(Population(n, "input" if n == "x" else "lif", s) for n, s in sizes.items())
    projections = tuple(projection(f"{a}->{b}", a, b, r) for (a, b), r in rows.items())
    return Program("", "", populations, projections, np.array(core, np.int32))


def counted(program: Program, words: int) -> list[int]:
    return [int(n) for n in one_to_one(program, axon_table(program), words)]


def dictionary(program: Program, words: int) -> list[int]:
    """Count by the definition: every block as a list of (source, target), one packet after the other."""
    first, core = program.first_ids(), [int(c) for c in program.core]
    left: dict[int, int] = defaultdict(lambda: words)
    own, all_of = defaultdict(int), defaultdict(int)
    for p in program.projections:
        blocks: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for i in range(p.indptr.size - 1):
            for j in p.indices[p.indptr[i] : p.indptr[i + 1]].tolist():
                s, t = first[p.source] + i, first[p.target] + j
                blocks[core[s], core[t]].append((s, t))
                all_of[s, core[t]] += 1
        for (_, c), block in sorted(blocks.items()):
            single = all(len({x[k] for x in block}) == len(block) for k in (0, 1))
            if single and len(block) <= left[c]:
                left[c] -= len(block)
                for s, _ in block:
                    own[s, c] += 1
    found = [0] * program.n_neurons
    for packet, n in all_of.items():
        found[packet[0]] += own[packet] == n
    return found


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_equals_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = {"x": 6, "a": 8, "b": 8}
    rows = {}
    for source, target in (("x", "a"), ("a", "b"), ("b", "b"), ("a", "a")):
        each = [[] for _ in range(sizes[source])]
        for i, j in enumerate(rng.permutation(8)[: sizes[source]].tolist()):
            each[i] = [j] if rng.random() < 0.9 else []
        if rng.random() < 0.5:
            each[int(rng.integers(0, sizes[source]))] = rng.permutation(8)[: int(rng.integers(1, 4))].tolist()
        rows[source, target] = each
    core = [HOST] * 6 + rng.integers(0, 3, 16).tolist()
    program = programmed(rows, sizes, core)
    words = int(rng.integers(0, 20))
    assert counted(program, words) == dictionary(program, words)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[0], [1], [2], [3]], [1, 1, 1, 1]),
        ([[3], [2], [1], [0]], [1, 1, 1, 1]),  # in any order
        (
            [[0], [1], [2], [2]],
            [1, 1, 0, 0],
        ),  # two meet one neuron: the block of these two cores is not from one to one
        ([[0, 2], [1], [2], [3]], [2, 1, 1, 1]),  # neuron 2 is met by two cores, each in a block of its own
        ([[0, 1], [1], [2], [3]], [0, 0, 1, 1]),
    ],
)
def test_by_hand(rows: list[list[int]], found: list[int]) -> None:
    """Four neurons on cores 0, 0, 1, 1 and four targets on 2, 2, 3, 3."""
    program = programmed({("a", "b"): rows}, {"a": 4, "b": 4}, [0, 0, 1, 1, 2, 2, 3, 3])
    assert counted(program, 100)[:4] == found


def test_words_of_a_core_are_used_up() -> None:
    """Three words at core 2: the block of core 0 takes two, that of core 1 finds one and fetches."""
    program = programmed({("a", "b"): [[0], [1], [2], [3]]}, {"a": 4, "b": 4}, [0, 0, 1, 1, 2, 2, 2, 2])
    assert [counted(program, words)[:4] for words in (0, 3, 4)] == [[0] * 4, [1, 1, 0, 0], [1] * 4]


def test_energy_of_a_one_to_one_network_on_spinnaker1() -> None:
    """SNABSuite's inter_O2O in small: 255 neurons that spike at every step, each with one synapse; nJ a step by hand."""
    n, steps = 255, 4
    net = {("a", "b"): [[i] for i in range(n)]}
    program = programmed(net, {"a": n, "b": n}, [0] * n + [1] * n)
    chip = load_chip("spinnaker1")
    program = Program(chip.name, chip.sha256(), program.populations, program.projections, program.core)
    spikes = SpikeTrain(np.arange(steps + 1) * n, np.tile(np.arange(n, dtype=np.int32), steps))
    none, still = np.zeros(2 * n, np.int64), np.zeros(steps, np.int64)
    activity = Counter(program, chip.topology).activity(spikes, Tally(none, still, none, still))
    report = chip_energy(activity, chip, program)
    each = {key: chip.energy[key].value or 0.0 for key in ("packet_in_own", "synaptic_event", "spike")}
    updates = 2 * n * (chip.energy["neuron_update_active"].value or 0.0)
    assert report.energy_pj("dynamic") / steps == pytest.approx(updates + n * sum(each.values()))
    assert report.item("packet_in_own").count == n * steps
    measured = 2246e6 / 31  # of 31 such pairs of cores
    assert report.energy_pj("dynamic") / steps == pytest.approx(measured, rel=1e-3)
