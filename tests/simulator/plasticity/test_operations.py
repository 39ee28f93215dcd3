"""The table of learning operations: against multiplications counted one by one, and the chip's own counters against it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bimhw.compiler.pipeline import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs.learn import ready_to_learn, step_labels
from bimhw.tasks.base import Split, Task, late_steps
from energy_models.forms import form_counts
from energy_models.learning import learning_counts
from simulator.plasticity import learn
from simulator.plasticity.forms import base, block, sweep
from simulator.plasticity.methods import chip_forms, chip_rules
from simulator.plasticity.operations import HISTORY_WORDS, KERNEL_OPERATIONS, PORTS, KernelOperations

M, H, C, T, N = 6, 5, 2, 12, 2  # inputs, neurons, classes, steps, samples
K, L = 4, 8  # block, look-back


class Counted(float):
    """A number that counts the multiplications it takes part in."""

    done = 0

    def __mul__(self, other: Any) -> Counted:
        Counted.done += 1
        return Counted(float(self) * float(other))

    def __add__(self, other: Any) -> Counted:
        return Counted(float(self) + float(other))

    def __sub__(self, other: Any) -> Counted:
        return Counted(float(self) - float(other))

    def __rsub__(self, other: Any) -> Counted:
        return Counted(float(other) - float(self))

    __rmul__, __radd__ = __mul__, __add__


def numbers(*shape: int) -> Any:
    return np.vectorize(Counted, otypes=[object])(np.random.default_rng(0).uniform(0.5, 1, shape))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the kernels' own statements on numbers that count; words are not rounded."""
    for module in (base, sweep, block):
        monkeypatch.setattr(module, "put", lambda x, k, table: x)
    monkeypatch.setattr(base, "_chain", base._chain.py_func)
    monkeypatch.setattr(base, "dense_step_at", base.dense_step_at.py_func)
    monkeypatch.setattr(sweep, "back_to_q", sweep.back_to_q.py_func)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("costs", KERNEL_OPERATIONS, ids=lambda c: c.psp)
def test_a_dense_step_multiplies_as_often_as_the_table_says(costs: KernelOperations) -> None:
    """Beside the table's MACs: 4 input products (adds for a spike) and 3 reset factors (1 when soft and detached)."""
    psp, lines = KERNEL_OPERATIONS.index(costs), 3
    e, g, live = numbers(4, 5, lines, 1), numbers(4, lines, 1), np.ones((3, lines, 1), np.uint8)
    done = []
    for used in (lines, lines - 1):  # the difference of two runs is one synapse triple
        live[:, used:] = 0
        Counted.done = 0
        base.dense_step.py_func(e, g, numbers(lines), numbers(8, 1), numbers(8, 1), live, psp, True, True, None)
        done.append(Counted.done)
    assert done[0] - done[1] == sum(costs.trace_macs()) + 4 + 3 + PORTS


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("costs", KERNEL_OPERATIONS, ids=lambda c: c.psp)
def test_a_carry_multiplies_as_often_as_the_table_says(costs: KernelOperations) -> None:
    """The kernel multiplies all five parts; of a kernel with fewer states the others are 0 and are not counted."""
    sizes = costs.sizes()
    full = 5 * 6 // 2 + 5
    Counted.done = 0
    e, g = numbers(4, 5, 1, 1), numbers(4, 1, 1)
    block.carry.py_func(e, g, numbers(1, 5, 5), numbers(1, 5), np.ones((3, 1, 1), np.uint8), None)
    assert Counted.done == (PORTS + 1) * full  # with D, which is a port of one line
    assert costs.carry_macs == tuple(n * (n + 3) // 2 for n in sizes)
    assert sum(costs.carry_macs) == {"delta": 23, "exp": 37, "alpha": 54}[costs.psp]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("costs", KERNEL_OPERATIONS, ids=lambda c: c.psp)
def test_a_backward_step_multiplies_as_often_as_the_table_says(costs: KernelOperations) -> None:
    psp, steps = KERNEL_OPERATIONS.index(costs), 3
    p = np.zeros((steps, 3, 1), object)
    Counted.done = 0
    sweep.sweep.py_func(numbers(steps, 8, 1), np.arange(steps), steps, numbers(8, 1), psp, True, p, numbers(1), None)
    assert Counted.done == costs.sweep_macs * steps


def test_triangles_are_counted_by_their_entries() -> None:
    """Products of lower triangular matrices and vectors, entry by entry."""
    for costs in KERNEL_OPERATIONS:
        n = costs.states
        inner = sum(r - c + 1 for r in range(n) for c in range(r + 1))
        assert costs.propagator_macs == inner
        assert costs.catch_up_macs == tuple(sum(r + 1 for r in range(k)) for k in costs.sizes())
        assert costs.carry_macs == tuple(sum(r + 1 for r in range(k)) + k for k in costs.sizes())
        assert (costs.words(), sum(costs.carry_macs)) == {"delta": (8, 23), "exp": (11, 37), "alpha": (14, 54)}[
            costs.psp
        ]


@pytest.fixture(scope="module")
def task() -> Task:
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, 2 * N)
    x = rng.integers(1, 9, (2 * N, T, M)) * (rng.random((2 * N, T, M)) < 0.5)
    every = np.ones(T, bool)
    return Task("noise", C, 1 / 16, Split(x[:N], y[:N]), Split(x[N:], y[N:]), every, late_steps(T, 3))


def of_gradient(form: str, costs: KernelOperations, events: int) -> dict[str, int]:
    """Operations of one sample whose every step is labelled, by the table."""
    s, sizes = M * H, costs.words()
    if form == "dense":
        return {"learn_trace_rmw": sizes * s * T, "learn_trace_mac": sum(costs.trace_macs()) * s * T}
    blocks = 1 if form == "seq" else T // K
    swept = T if form != "tr" else sum(min(K + L, (b + 1) * K) for b in range(blocks))
    out = {
        "learn_sweep_mac": costs.sweep_macs * H * swept,
        "learn_history_read": HISTORY_WORDS * H * swept,
        "learn_events": PORTS * H * events,
    }
    if form == "blk":
        out["learn_trace_rmw"] = sizes * s * blocks
        out["learn_trace_mac"] = sum(costs.carry_macs) * s * blocks
        out["learn_carry_mac"] = costs.block_macs * H * T
        out["learn_events"] += sizes * H * events
    return out


@pytest.mark.parametrize("costs", KERNEL_OPERATIONS, ids=lambda c: c.psp)
@pytest.mark.parametrize("form", chip_forms())
@pytest.mark.parametrize("rule", chip_rules())
def test_the_chip_counts_what_the_table_says(task: Task, rule: str, form: str, costs: KernelOperations) -> None:
    net = BimNet(BimConfig(n_in=M, hidden=(H,), n_out=C, psp=costs.psp, input_scale=1 / 16), 1)
    program = compile(net, "loihi2", calibration=task.train.x).program
    options = {"rule": rule, "form": form, "block": K, "history": L, "lam": 0.5, "skip_zero": False, "optimiser": "sgd"}
    ready = ready_to_learn(program, task, options)
    ops = learn(ready, task.train.x, step_labels(task, task.train)).operations
    gradient = rule in ("rtrl", "hybrid")
    want: dict[str, int] = {}
    for x in task.train.x:
        events = int((x != 0).sum())
        for name, n in of_gradient(form, costs, events).items() if gradient else ():
            want[name] = want.get(name, 0) + n
    if form == "tr" and gradient:  # an event of the window is replayed in every block that sees it
        seen = [sum(int((x[: (b + 1) * K][-(K + L) :] != 0).sum()) for b in range(T // K)) for x in task.train.x]
        want["learn_events"] = PORTS * H * sum(seen)
    kinds = ("trace_rmw", "trace_mac", "carry_mac", "sweep_mac", "history_read", "events")
    found = {f"learn_{k}": ops[f"learn_{k}"] for k in kinds if f"learn_{k}" in ops}
    assert found == want
    assert ops["learn_error_words"] == C * T * N
    assert ops.get("learn_history_write", 0) == gradient * HISTORY_WORDS * H * T * N
    assert ("learn_stdp_events" in ops) == (rule in ("hybrid", "stdp"))
    if form == "dense" and gradient:
        assert ops["learn_weight_mac"] == (PORTS * M * H + H * C) * T * N  # the readout's are in it


@pytest.mark.parametrize("costs", KERNEL_OPERATIONS, ids=lambda c: c.psp)
@pytest.mark.parametrize("form", chip_forms())
def test_the_formula_of_a_step_is_the_table(form: str, costs: KernelOperations) -> None:
    """At an input rate of 1 an event is every input of every step."""
    step = form_counts(form, M, H, costs.psp, 1.0, T, 0)
    table = of_gradient(form, costs, M * T) if form in ("dense", "seq") else {}
    for name, n in table.items():
        if name == "learn_trace_rmw":
            n += PORTS * M * H * T  # the weights written
        assert step[name] * T == n, name
    if form == "dense":
        assert step["learn_trace_mac"] == learning_counts(M, H, costs.psp)["learn_trace_mac"]
    if form == "blk":
        assert step["learn_carry_mac"] == costs.block_macs * H
        assert step["learn_trace_mac"] == round(sum(costs.carry_macs) * M * H / T)
