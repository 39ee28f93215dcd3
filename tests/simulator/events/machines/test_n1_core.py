"""Catalyst N1's cores: steps by hand, a plain-Python twin of LIF, CUBA, formats and delays, and two cores with routers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.events.machines.n1.chip import Mesh, SerialQueue, route_table, run_chip
from simulator.events.machines.n1.run import run_core
from simulator.events.machines.n1.state import Core, Options, program_core

NONE = np.zeros((0, 2), np.int64)
Row = tuple[int, ...]


def _rows(rows: list[Row], width: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array(rows, np.int64).reshape(-1, width)


def _core(n: int, params: dict[int, dict[int, int]], pool: list[Row], index: list[Row], delay: list[Row] = []) -> Core:  # noqa: B006
    rows = [(i, k, v) for i, words in params.items() for k, v in words.items()]
    return program_core(n, _rows(rows, 3), _rows(pool, 5), _rows(delay, 2), _rows(index, 4), NONE)


def _twin(
    n: int, p: list[dict[int, int]], pool: list[Row], delay: list[int], index: dict[int, Row], graded: bool,
    external: list[Row], steps: int, scale_u: bool = False,
) -> tuple[list[list[int]], list[list[int]], list[Row], list[int]]:  # fmt: skip
    """v, u, (step, neuron, payload) and cycles, from the words of the recording's arithmetic."""

    def wrap(x: int, bits: int) -> int:
        return (x + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)

    def away(a: int, d: int) -> int:
        whole, rest = divmod(a * d, 4096)
        return whole + (0 if not rest else 1 if a >= 0 else -1)

    v, u, held = [0] * n, [0] * n, [0] * n
    slots: list[list[tuple[int, int]]] = [[] for _ in range(64)]
    before: list[tuple[int, int]] = []
    vs, us, spikes, cycles = [], [], [], []
    for t in range(steps):
        total = [0] * n
        for step, i, value in external:
            if step == t:
                total[i] = value
        time = 1 + 4 * len(slots[t % 64]) + 1
        for target, current in slots[t % 64]:
            total[target] += current
        slots[t % 64] = []
        for source, payload in before[:64]:
            base, count, form = index.get(source, (0, 0, 0))
            time += 3 + (6 * count if form != 2 or not count else 6 + 5 * (count - 1))
            for j in range(count):
                entry = base if form == 2 else base + j
                target = pool[base + j][2] if form == 0 else (pool[base][2] + j) % n
                current = wrap(pool[entry][3] * payload >> 7, 16) if graded else pool[entry][3]
                at = slots[(t + delay[entry]) % 64]
                if delay[entry] and len(at) < 64:
                    at.append((target, current))
                else:
                    total[target] += current
        before = []
        for i in range(n):
            leak, rest, threshold, word = (p[i].get(k, 0) for k in (1, 2, 0, 3))
            refractory, decays = word & 255, word >> 9 & 1
            bias = (p[i].get(18, 0) >> 3) << (p[i].get(18, 0) & 7)  # a signed mantissa and its exponent
            x = total[i] = wrap(total[i], 24)
            low = wrap(v[i], 16)
            cuba = bool(p[i].get(16, 0) or p[i].get(17, 0) or p[i].get(18, 0))
            less = away(v[i], p[i].get(16, 0))
            if cuba:
                reached = wrap(v[i] - less + u[i] + bias, 24)
                fed = away(x, p[i].get(17, 0)) if scale_u else x
                u[i] = wrap(u[i] - away(u[i], p[i].get(17, 0)) + fed, 24)
            else:
                reached = wrap(low + x - leak, 24)
            if held[i]:
                v[i], held[i] = (wrap(v[i] - less - bias, 24) if cuba and decays else rest), held[i] - 1
            elif reached >= threshold:
                payload = min(max(wrap(low + x - leak - threshold, 24), 1), 255)
                v[i], held[i] = rest, refractory
                before.append((i, payload))
                spikes.append((t, i, payload))
            else:
                v[i] = reached if cuba or wrap(low + x, 24) > leak else rest
            v[i] = min(max(v[i], p[i].get(30, -32768)), p[i].get(31, 32767))
        vs.append(list(v))
        us.append(list(u))
        cycles.append(time + 4 * n + 1)
    return vs, us, spikes, cycles


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_cores_are_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, steps = int(rng.choice([8, 16, 128])), 30
    params = []
    for _ in range(n):
        words = {
            0: int(rng.integers(1, 900)),
            1: int(rng.integers(0, 60)),
            2: int(rng.integers(-30, 30)),
            3: int(rng.integers(0, 4)),
        }
        if rng.random() < 0.4:
            words |= {16: int(rng.integers(0, 4096)), 17: int(rng.integers(1, 4096))}
        if rng.random() < 0.3:  # a bias alone makes a neuron a CUBA neuron too
            words[18] = int(rng.integers(-40, 60)) << 3 | int(rng.integers(0, 4))
        words[3] |= int(rng.integers(2)) << 9  # in refractory it keeps its membrane
        if rng.random() < 0.3:
            words |= {30: int(rng.integers(-500, 0)), 31: int(rng.integers(100, 3000))}
        params.append(words)
    pool: list[Row] = []
    index: dict[int, Row] = {}
    for i in range(n):
        form, count = int(rng.integers(0, 3)), int(rng.integers(0, 9))
        index[i] = (len(pool), count, form)
        for _ in range(1 if form == 2 and count else count):
            pool.append((len(pool), i, int(rng.integers(n)), int(rng.integers(-900, 900)), 0))
    delay = [int(rng.integers(0, 64)) if rng.random() < 0.5 else 0 for _ in pool]
    graded = bool(rng.integers(2))
    external = [
        (t, int(rng.integers(n)), int(rng.integers(-99, 3000)))
        for t in range(steps)
        for _ in range(int(rng.integers(4)))
    ]
    core = _core(n, dict(enumerate(params)), pool, [(i, *row) for i, row in index.items()], list(enumerate(delay)))
    scale_u = int(rng.integers(2))
    run = run_core(core, Options(graded=graded, scale_u=scale_u), steps, _rows(external, 3), NONE)
    v, u, spikes, cycles = _twin(n, params, pool, delay, index, graded, external, steps, bool(scale_u))
    assert run.v.tolist() == v
    assert run.u.tolist() == u
    assert run.spikes[:, [0, 2, 3]].tolist() == [list(s) for s in spikes]
    assert run.cycles.tolist() == cycles


def test_a_step_by_hand() -> None:
    """Neuron 1 is driven over its threshold; neuron 2 gets its weight one step later, neuron 3 two more."""
    pool = [(0, 1, 2, 30, 0), (1, 1, 3, 40, 0)]
    core = _core(4, {i: {0: 100, 1: 1} for i in range(4)}, pool, [(1, 0, 2, 0)], [(1, 2)])
    run = run_core(core, Options(), 5, np.array([[0, 1, 50], [0, 1, 120]]), NONE)  # the last input of a step wins
    assert run.spikes.tolist() == [[0, 2 + 4 + 3, 1, 120 - 1 - 100]]
    assert run.v[:, 2].tolist() == [0, 29, 28, 27, 26]
    assert run.v[:, 3].tolist() == [0, 0, 0, 39, 38]
    assert run.cycles.tolist() == [2 + 16 + 1, 2 + 3 + 12 + 16 + 1, 19, 19 + 4, 19]


def test_a_full_slot_delivers_at_once() -> None:
    pool = [(j, 0, 1, 1, 0) for j in range(70)]
    core = _core(2, {0: {0: 5}, 1: {0: 1000}}, pool, [(0, 0, 70, 0)], [(j, 3) for j in range(70)])
    run = run_core(core, Options(), 6, np.array([[0, 0, 9]]), NONE)
    assert run.v[:, 1].tolist() == [0, 6, 6, 6, 70, 70]
    assert run.early_entries == 6


def test_microcode_by_hand() -> None:
    """The source fires: w + (trace1 of the target >> 3) + the register's lowest bit."""
    words = [4 << 28 | 11 << 24 | 0 << 20 | 3 << 13, 1 << 28 | 5 << 24 | 5 << 20 | 11 << 16, 9 << 28, 13 << 28]
    core = _core(2, {0: {0: 5}, 1: {0: 5}}, [(0, 0, 1, 300, 0)], [(0, 0, 1, 0)])
    core.ucode[:4] = words
    core.ucode[64] = 13 << 28
    run = run_core(core, Options(learn=1), 1, np.array([[0, 0, 9], [0, 1, 9]]), NONE, [0])
    lowest = int(core.scalars[1]) & 1
    assert run.snaps["weight"].tolist() == [[300 + (100 >> 3) + lowest]]
    mode0, mode1 = 2 + 2 * 2 + 6 + 2 * 4, 2 + 2 * 32 * 6 + 2
    assert run.cycles.tolist() == [2 + 8 + 1 + mode0 + mode1 + 2]


def test_a_program_without_an_end_is_refused() -> None:
    core = _core(1, {0: {0: 5}}, [(0, 0, 0, 1, 0)], [(0, 0, 1, 0)])
    with pytest.raises(InputError, match="halt"):
        run_core(core, Options(learn=1), 1, np.array([[0, 0, 9]]), NONE)


def test_a_packet_crosses_the_mesh_and_overwrites() -> None:
    """Core 0 fires in step 0; its packet stands at c = 4 + 2 + 2 + C + 3 + 1 and reaches core 1 in the next drain."""
    cores = [_core(4, {i: {0: 50, 1: 0} for i in range(4)}, [], []) for _ in range(2)]
    routes = route_table(2, 4, np.array([[0, 2, 0, 1, 3, 7], [0, 2, 1, 1, 3, 9]]), np.zeros((0, 6), np.int64))
    run = run_chip(cores, Options(), routes, Mesh(2, 1), np.array([[0, 0, 2, 60]]), np.array([0, 1000]))
    length = 1 + 1 + 4 * 4 + 1
    begin = 4 + 2
    routing = begin + length + 2
    assert run.spikes.tolist() == [[0, begin + 2 + 4 * 2 + 3, 0, 2]]
    assert run.injected[:, 1].tolist() == [routing + 4, routing + 7]
    assert run.cycles[0] == routing + 37 + 2 + 1
    assert run.ejected.tolist() == [
        [1, 0, 1, 3, 7],
        [1, 2, 1, 3, 9],
    ]  # a link and a register give one packet in 2 cycles
    assert run.v[1, 4 + 3] == 9


def test_the_serial_queue_delivers_one_a_cycle() -> None:
    cores = [_core(2, {i: {0: 50, 1: 0} for i in range(2)}, [], []) for _ in range(2)]
    routes = route_table(2, 2, np.array([[0, 0, 0, 1, 0, 7], [0, 0, 1, 1, 1, 9]]), np.zeros((0, 6), np.int64))
    run = run_chip(cores, Options(), routes, SerialQueue(), np.array([[0, 0, 0, 60]]), np.array([0, 500]))
    length = 2 + 4 * 2 + 1
    # In step 1 the spike's own row of synapses is looked up, 3 cycles, and is empty.
    assert run.cycles.tolist() == [1 + 2 + length + 2 + 37 + 2 + 1, 4 + 2 + length + 3 + 2 + 2 + 1]
    assert run.v[1].tolist() == [0, 0, 7, 9]


def test_what_the_core_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="axon types"):
        _core(2, {0: {25: 1}}, [], [])
    with pytest.raises(InputError, match="pool, row 0"):
        _core(2, {}, [(0, 0, 2, 1, 0)], [])


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        ("pool", (0, 0, 1, 5, 4), "pool, row 0: holds 4 in column 4; the core has 0..3"),
        ("pool", (1 << 16, 0, 1, 5, 0), "pool, row 0: holds 65536 in column 0"),
        ("pool", (0, 0, 8, 5, 0), "pool, row 0: holds 8 in column 2; the core has 0..7"),
        ("delay", (-1, 3), "delay, row 0: holds -1 in column 0"),
        ("index", (0, -2, 1, 0), "index, row 0: holds -2 in column 1"),
        ("index", (0, 0, -1, 0), "index, row 0: holds -1 in column 2"),
        ("index", (0, 0, 1, 3), "index, row 0: holds 3 in column 3; the core has 0..2"),
        ("params", (0, 22, 9), "params, id 22: names parent 9, and the core has 0..7"),
    ],
)
def test_what_a_core_does_not_have_is_refused(table: str, row: tuple[int, ...], said: str) -> None:
    """Compiled kernels look at no bound: such a row ended the process."""
    tables = {name: np.zeros((0, width), np.int64) for name, width in _WIDTHS.items()}
    with pytest.raises(InputError, match=re.escape(said)):
        program_core(8, **tables | {table: np.array([row])})


_WIDTHS = {"params": 3, "pool": 5, "delay": 2, "index": 4, "ucode": 2}


@pytest.mark.parametrize("row", [(3, 0, 0, 1), (0, 2, 0, 1), (0, 0, -1, 1)])
def test_inputs_of_a_chip_are_of_its_steps_cores_and_neurons(row: Row) -> None:
    cores = [_core(2, {}, [], []) for _ in range(2)]
    routes = route_table(2, 2, _rows([], 6), _rows([], 6))
    with pytest.raises(InputError, match="external: hold a value outside"):
        run_chip(cores, Options(), routes, SerialQueue(), _rows([row], 4), np.zeros(3, np.int64))
