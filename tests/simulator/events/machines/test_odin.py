"""ODIN: cycles and arithmetic by hand, and a plain-Python twin of LIF, SDSP, queue and time on random nets."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.events.machines.odin.run import run_odin
from simulator.events.machines.odin.state import Chip, Options, program_chip
from simulator.neurons import odin_izhikevich, odin_lif

REFERENCE_ALL, REFERENCE_ONE = 0x7F, 0xFF
Events = list[tuple[int, int]]


def _chip(
    rows: dict[int, dict[str, int]], synapses: list[tuple[int, int, int, int]], inhibitory: tuple[int, ...] = ()
) -> Chip:
    ids = sorted(rows)
    params = np.array([[rows[i].get(name, 0) for name in odin_lif.COLUMNS] for i in ids], np.int64)
    signs = np.array([i in inhibitory for i in ids], np.int64)
    return program_chip(
        np.array(ids), params, signs, np.zeros(len(ids), np.int64), np.array(synapses, np.int64).reshape(-1, 4)
    )


def test_a_single_synapse_takes_two_cycles_and_its_spike_is_sent() -> None:
    """Request at 5, used at 7, state from 8 on, write at 10: the neuron fires, and its event follows after the output."""
    chip = _chip({3: {"thr": 5}, 9: {"thr": 200}}, [(9, 3, 1, 5), (3, 9, 1, 2)])
    run = run_odin(chip, Options(), np.array([[5, 1 << 16 | 9 << 8 | 3]]))
    assert run.outputs.tolist() == [[10, 3]]
    assert run.inputs.tolist() == [[5, 10, 13, 1 << 16 | 9 << 8 | 3]]
    # The output is busy from 10 to 16; then neuron 3's event updates the array: 512 cycles.
    assert run.operations.tolist() == [[8, 7, -1], [10, 12, -1], [13, 0, -1], [17, 9, 3], [529, 0, -1]]
    assert run.chip.lif[9, odin_lif.V] == 2
    assert run.chip.lif[3, odin_lif.V] == 0


def test_an_output_in_the_array_stalls_it() -> None:
    chip = _chip({0: {"thr": 1}, 255: {"thr": 1}, 7: {"thr": 9}}, [(7, 0, 1, 1), (7, 255, 1, 1)])
    run = run_odin(chip, Options(open_loop=1, ack_delay=2, ack_release=1), np.array([[0, 7 << 8 | 7]]))
    start = 0 + 2 + 1 + 1 + 3 + 1  # request, push, handshake, the next operation
    assert run.outputs.tolist() == [[start + 2, 0], [start + 512 + 9, 255]]
    assert run.operations[-1].tolist() == [start + 512 + 9, 0, -1]


def test_a_time_reference_leaks_and_counts_calcium() -> None:
    leak = {"thr": 50, "v": 9, "leak_str": 4, "leak_en": 1}
    calcium = {"ca_en": 1, "ca": 3, "caleak": 2, "thetamem": 3, "theta1": 2, "theta2": 5, "theta3": 7}
    chip = _chip({1: leak | calcium}, [])
    run = run_odin(chip, Options(), np.array([[0, 1 << 8 | REFERENCE_ONE]] * 3))
    words = run.snap_lif[:, 1]
    assert words[:, odin_lif.V].tolist() == [5, 1, 0]
    assert words[:, odin_lif.CA].tolist() == [3, 2, 2]
    assert words[:, odin_lif.CACNT].tolist() == [1, 0, 1]
    assert run.chip.flags[1] == odin_lif.DOWN


def test_learning_uses_the_flags_and_the_weight_from_before() -> None:
    chip = _chip({1: {"thr": 50, "ca_en": 1, "ca": 3, "thetamem": 5, "theta1": 1, "theta2": 4, "theta3": 7}, 2: {"thr": 9}},
                 [(2, 1, 1, 7), (2, 2, 0, 0)])  # fmt: skip
    chip.flags[1] = odin_lif.DOWN
    event = 2 << 8 | 7
    first = run_odin(chip, Options(), np.array([[0, event]])).chip
    assert (first.lif[1, odin_lif.V], first.weight[2, 1], first.flags[1]) == (7, 6, odin_lif.UP)
    both = run_odin(chip, Options(), np.array([[0, event], [0, event]])).chip
    assert (both.lif[1, odin_lif.V], both.weight[2, 1]) == (13, 7)


def _twin(chip: Chip, options: Options, events: Events) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Return requests at the output and the controller's log, edge by edge, from the words of docs/rtl.md."""
    n = {i: dict(zip(odin_lif.COLUMNS, chip.lif[i].tolist(), strict=True)) for i in range(256) if chip.kind[i]}
    weight, mapped, flag = chip.weight.copy(), chip.mapped, chip.flags.copy()
    queue: deque[int] = deque()
    outputs: list[tuple[int, int]] = []
    log: list[tuple[int, int, int]] = []
    busy_until = 0

    def update(i: int, w: int, inhibitory: bool, reference: bool, now: int) -> int:
        """One write; returns the cycles of its stall."""
        nonlocal busy_until
        if i not in n:
            return 0
        p = n[i]
        v, leaks = p["v"], False
        if reference:
            v = max(0, v - p["leak_str"] * p["leak_en"])
            if p["ca_en"] and p["caleak"]:
                leaks = p["cacnt"] == p["caleak"] - 1
                p["cacnt"] = 0 if leaks else (p["cacnt"] + 1) % 32
        else:
            v = max(0, v - w) if inhibitory else min(255, v + w)
        fires = v >= p["thr"]
        p["v"] = 0 if fires else v
        if p["ca_en"]:
            p["ca"] = min(7, max(0, p["ca"] + fires - leaks))
            up = p["v"] >= p["thetamem"] and p["theta1"] <= p["ca"] < p["theta3"]
            down = p["v"] < p["thetamem"] and p["theta1"] <= p["ca"] < p["theta2"]
            flag[i] = up + 2 * down
        if not fires or p["disable"]:
            return 0
        if not options.open_loop and len(queue) < 32:
            queue.append(i)
        outputs.append((now, i))
        busy_until = now + 6 + options.ack_delay + options.ack_release
        return busy_until - now

    def learn(source: int, target: int) -> None:
        if mapped[source, target] or options.update_unmapped:
            step = 1 if flag[target] & 1 else -1 if flag[target] & 2 else 0
            weight[source, target] = min(7, max(0, weight[source, target] + step))

    def row(source: int, now: int, reference: bool) -> int:
        """Do an operation on the array; return its end."""
        sees: dict[int, int] = {}
        for i in range(256):
            if not reference and i % 8 == 0:
                for j in range(i, i + 8):
                    sees[j] = weight[source, j] if mapped[source, j] or options.propagate_unmapped else 0
                    learn(source, j)
            now += 2
            stall = update(i, sees.get(i, 0), bool(chip.inhibitory[source]) and not reference, reference, now)
            now += stall if i < 255 else 0
        return now

    k, now, request = 0, 0, events[0][0] if events else 0
    while k < len(events) or queue:
        now = max(now, busy_until)
        seen = k < len(events) and request + 2 <= now
        if not seen and not queue:
            now = request + 2
            continue
        start = now + 1
        address = events[k][1] if seen else 0
        rest = seen and address >> 16 == 0 and address % 128 == 0
        if len(queue) == 32 or (queue and (not seen or rest)):
            word = queue[0]
            if word >> 8:
                log.append((start, 10, word))
                update(word & 255, word >> 10, bool(word >> 9 & 1), bool(word >> 8 & 1), start + 2)
                now = start + 2
            else:
                log.append((start, 9, word))
                now = row(word, start, False)
            queue.popleft()
            log.append((now, 0, -1))
            continue
        high, low = address >> 8 & 255, address & 255
        if address >> 16:
            state, end = 7, start + 2
            w = weight[high, low] if mapped[high, low] or options.propagate_unmapped else 0
            if options.sdsp_on_syn_stim:
                learn(high, low)
            update(low, int(w), bool(chip.inhibitory[high]), False, end)
        elif low == REFERENCE_ALL:
            state, end = 5, row(0, start, True)
        elif low == REFERENCE_ONE:
            state, end = 5, start + 2
            update(high, 0, False, True, end)
        elif rest:
            state, end = 6, start + (64 if low == 128 else 64 * 256)
            for source in [high] if low == 128 else range(256):
                for j in range(256):
                    if mapped[source, j] or options.update_unmapped:
                        w = weight[source, j]
                        weight[source, j] = min(7, w + 1) if w >= 4 else max(0, w - 1)
        else:
            state, end = 8, start + 1
            queue.append((low >> 3) << 8 | high)
        now = end + 3
        log += [(start, state, -1), (end, 12, -1), (now, 0, -1)]
        k += 1
        if k < len(events):
            request = max(events[k][0], now + 1)
    chip.weight[:] = weight
    for i, p in n.items():
        chip.lif[i] = list(p.values())
    return outputs, log


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_nets_are_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.choice(256, int(rng.integers(2, 24)), replace=False).tolist()
    rows = {
        i: {
            "leak_str": int(rng.integers(0, 20)), "leak_en": 1, "thr": int(rng.integers(3, 40)), "ca_en": 1,
            "thetamem": int(rng.integers(0, 9)), "theta1": int(rng.integers(0, 3)), "theta2": int(rng.integers(0, 8)),
            "theta3": int(rng.integers(0, 8)), "caleak": int(rng.integers(0, 4)), "ca": int(rng.integers(0, 8)),
            "disable": int(rng.random() < 0.1),
        }
        for i in ids
    }  # fmt: skip
    synapses = [(a, b, int(rng.integers(2)), int(rng.integers(8))) for a in ids for b in ids if rng.random() < 0.4]
    options = Options(
        open_loop=int(rng.random() < 0.5), update_unmapped=int(rng.integers(2)), propagate_unmapped=int(rng.integers(2)),
        sdsp_on_syn_stim=int(rng.integers(2)), ack_delay=int(rng.integers(4)), ack_release=int(rng.integers(3)),
    )  # fmt: skip
    lows = (REFERENCE_ALL, REFERENCE_ONE, 7, 128, 9, 0b11100001)
    events, now = [], 0
    for _ in range(25):
        high = int(rng.choice(ids))
        address = (
            high << 8 | int(rng.choice(lows)) if rng.random() < 0.5 else 1 << 16 | high << 8 | int(rng.choice(ids))
        )
        events.append((now, address))
        now += int(rng.integers(0, 900))
    if not options.open_loop:  # such a net may excite itself for ever; inhibition everywhere lets it rest
        chip = _chip(rows, synapses, tuple(ids))
    else:
        chip = _chip(rows, synapses, tuple(ids[: len(ids) // 3]))
    run = run_odin(chip, options, np.array(events))
    outputs, log = _twin(chip, options, events)
    assert run.outputs.tolist() == [list(o) for o in outputs]
    assert run.operations.tolist() == [list(o) for o in log]
    assert np.array_equal(run.chip.weight, chip.weight)
    assert np.array_equal(run.chip.lif, chip.lif)


def _izhikevich(**params: int) -> tuple[I64, I64]:
    p = np.array([params.get(name, 0) for name in odin_izhikevich.PARAMS], np.int64)
    return p, np.zeros(len(odin_izhikevich.STATES), np.int64)


def test_izhikevich_steps_at_the_toggles_of_its_accumulator() -> None:
    p, s = _izhikevich(thr=2, rfr=3)
    fired = [odin_izhikevich.update(p, s, 4, False, False)[0] for _ in range(4)]
    assert fired == [False, False, False, True]  # bit 3 toggles at 8 and at 16
    assert s[odin_izhikevich.CORE] == 16 - 3
    assert s[odin_izhikevich.REFRAC] == 1
    for _ in range(3):
        odin_izhikevich.update(p, s, 0, False, True)  # a time reference each brings it one back
    assert (s[odin_izhikevich.CORE], s[odin_izhikevich.REFRAC]) == (0, 0)


def test_izhikevich_behaviours_by_hand() -> None:
    p, s = _izhikevich(thr=7, stim_thr=1, rebound_en=1)
    odin_izhikevich.update(p, s, 7, True, False)  # 0 - 7 toggles bit 3: one inhibitory step
    assert s[odin_izhikevich.STIM_STR_TMP] == 15
    assert [odin_izhikevich.update(p, s, 0, False, True)[0] for _ in range(3)] == [False, True, False]  # rebound spike
    p, s = _izhikevich(thr=1, spklat_en=1, dapdel=2)
    for _ in range(2):
        odin_izhikevich.update(p, s, 4, False, False)
    assert s[odin_izhikevich.DAPDEL_CNT] == 2  # the threshold is reached; the spike is late by two references
    assert [odin_izhikevich.update(p, s, 0, False, True)[0] for _ in range(3)] == [False, True, False]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="weight outside"):
        _chip({1: {"thr": 1}}, [(1, 1, 1, 8)])
    with pytest.raises(InputError, match="17 bits"):
        run_odin(_chip({1: {"thr": 1}}, []), Options(), np.array([[0, 1 << 17]]))
