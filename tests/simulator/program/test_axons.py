from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.program.axons import axon_table
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program


def _program(rng: np.random.Generator, sizes: list[int], links: list[tuple[int, int]], cores: int) -> Program:
    populations = tuple(Population(f"p{i}", "lif", n) for i, n in enumerate(sizes))
    projections = []
    for k, (a, b) in enumerate(links):
        matrix = rng.integers(-3, 4, (sizes[b], sizes[a])) * (rng.random((sizes[b], sizes[a])) < 0.4)
        csr = dense_to_csr(matrix.astype(np.int8))
        projections.append(Projection(f"q{k}", f"p{a}", f"p{b}", "in", *csr))
    core = rng.integers(0, cores, sum(sizes)).astype(np.int32)
    return Program("", "", populations, tuple(projections), core)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    cores=st.integers(1, 200),
    data=st.data(),
)
def test_axon_table_equals_a_dictionary(seed: int, sizes: list[int], cores: int, data: st.DataObject) -> None:
    index = st.integers(0, len(sizes) - 1)
    links = data.draw(st.lists(st.tuples(index, index), max_size=5))
    program = _program(np.random.default_rng(seed), sizes, links, cores)
    table, first = axon_table(program), program.first_ids()
    expected: list[dict[int, int]] = [{} for _ in range(program.n_neurons)]
    for p in program.projections:
        for row in range(p.indptr.size - 1):
            for target in p.indices[p.indptr[row] : p.indptr[row + 1]]:
                core = int(program.core[first[p.target] + target])
                here = expected[first[p.source] + row]
                here[core] = here.get(core, 0) + 1
    for i, want in enumerate(expected):
        part = slice(table.ptr[i], table.ptr[i + 1])
        got = list(zip(table.dst[part].tolist(), table.n_syn[part].tolist(), strict=True))
        assert got == sorted(want.items())


def test_a_synapse_onto_a_neuron_without_core_is_refused() -> None:
    program = _program(np.random.default_rng(0), [4, 4], [(0, 1)], 2)
    program.core[4:] = HOST
    with pytest.raises(InputError, match="no core"):
        axon_table(program)


def test_fan_cores_of_the_bench_nets(shared) -> None:  # type: ignore[no-untyped-def]
    net = np.load(shared / "bench/nets/s_5.npz")
    n = net["indptr"].size - 1
    p = Projection("all", "all", "all", "in", net["indptr"], net["indices"].astype(np.int32), net["weights"])
    program = Program("", "", (Population("all", "lif", n),), (p,), net["core"].astype(np.int32))
    assert (axon_table(program).fan_cores == net["fan_cores"]).all()
