"""LAZY: its counts against the formulas and against multiplications counted one by one; sizes, masks, states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bimhw.learning.forms import lazy_kernels, packed_kernels
from bimhw.learning.forms.lazy import LazyLearner
from bimhw.learning.forms.packed_kernels import W
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError
from simulator.plasticity.operations import OPERATIONS

STATES = {"alpha": 5, "exp": 4, "delta": 3}


class Counted:
    """A number that counts its multiplications."""

    products = 0

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __mul__(self, other: Any) -> Counted:
        Counted.products += 1
        return Counted()

    def __add__(self, other: Any) -> Counted:
        return Counted()

    __rmul__, __radd__ = __mul__, __add__


def counted(size: int) -> Any:
    return np.array([Counted() for _ in range(size)], dtype=object)


def products_of(kernel: Any, *arguments: Any) -> float:
    """Multiplications per neuron of a kernel run as plain Python."""
    Counted.products = 0
    kernel.py_func(*arguments)
    return Counted.products / W


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the kernels' own calls as plain Python too."""
    monkeypatch.setattr(lazy_kernels, "respond", packed_kernels.respond.py_func)
    monkeypatch.setattr(packed_kernels, "respond_apart", packed_kernels.respond_apart.py_func)
    monkeypatch.setattr(lazy_kernels, "_column", lazy_kernels._column.py_func)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
def test_visits_cost_what_the_formulas_say(psp: str) -> None:
    n, words, zero = STATES[psp], OPERATIONS[psp].words(), np.uint64(0)
    e, f, a = counted(words * W), counted(n * (n + 1) // 2 * W), counted(n * W)
    values, k = counted(packed_kernels.VALUES * W), tuple(counted(6))
    assert products_of(lazy_kernels.pending_change, counted(3 * W), e, zero, a, zero, n) == words
    assert products_of(lazy_kernels.catch_up, e, zero, f, zero, n) == sum(OPERATIONS[psp].catch_up_macs)
    assert products_of(lazy_kernels.move_propagator, f, zero, values, k, (0,) * (n - 1)) == OPERATIONS[psp].live_macs
    assert products_of(lazy_kernels.receive, a, zero, f, zero, counted(W), n) == n
    assert products_of(lazy_kernels.add_event, e, zero, counted((5 * n - 2) * W), Counted(), n) == words


def by_hand(psp: str, x: np.ndarray, neurons: int, labelled: np.ndarray) -> tuple[int, int, int]:
    """Event operations, neuron MACs and words touched from the spike trains alone."""
    words, n, last = OPERATIONS[psp].words(), STATES[psp], {}
    event, neuron, touched = 0, 0, 0
    for t, u in enumerate(x):
        live = len(set(last.values()))
        neuron += OPERATIONS[psp].live_macs * live
        for j in np.flatnonzero(u):
            again = int(j in last)
            event += again * (words + sum(OPERATIONS[psp].catch_up_macs)) + words
            touched += words + 3 * again
            last[j] = t
        neuron += n * len(set(last.values())) * int(labelled[t])
    return event * neurons, neuron * neurons, touched * neurons


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
def test_counts_as_it_runs_are_the_formulas(psp: str) -> None:
    rng = np.random.default_rng(3)
    x, labelled = rng.random((60, 24)) < 0.1, rng.random(60) < 0.7
    net = BimNet(BimConfig(n_in=24, hidden=(20,), n_out=3, psp=psp))  # type: ignore[arg-type]
    learner, label = LazyLearner(net.double(), 0.01), torch.zeros(1, dtype=torch.int64)
    for u, use in zip(x, labelled, strict=True):
        learner.observe(torch.from_numpy(u[None].astype(np.float64)), label if use else None)
    counts = learner.counts
    assert (counts.event_ops, counts.neuron_macs, counts.rmw) == by_hand(psp, x, 20, labelled)
    assert (counts.dense_macs, counts.events, counts.steps) == (0, int(x.sum()), 60)


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
@pytest.mark.parametrize(("m", "h"), [(1, 1), (5, 17), (33, 16), (3, 40)])
@pytest.mark.parametrize("masked", [False, True])
def test_any_size_is_dense_rtrl(psp: str, m: int, h: int, masked: bool) -> None:
    """60 steps of SGD, labels at two steps of three, graded inputs, absent synapses."""
    nets = [BimNet(BimConfig(n_in=m, hidden=(h,), n_out=3, psp=psp, theta=0.1), 2).double() for _ in range(2)]  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(5)
    if masked:
        for port in ("in", "delta", "c"):
            kept = torch.rand(h, m, generator=generator) < 0.6
            kept[0, 0] = True
            for net in nets:
                net.add_mask(f"layers.0.mask_{port}", kept)
    with torch.no_grad():
        for net in nets:
            net.readout.weight.normal_(generator=torch.Generator().manual_seed(6))
    x = (torch.rand(60, 1, m, generator=generator) < 0.4) * torch.rand(60, 1, m, generator=generator).double()
    y, lr = torch.randint(0, 3, (60, 1), generator=generator), 0.05
    start = nets[0].layer(0).weight("in").detach().clone()
    learners = (RtrlLearner(nets[0], 1), LazyLearner(nets[1], lr))
    for t, (u, label) in enumerate(zip(x, y, strict=True)):
        for net, learner in zip(nets, learners, strict=True):
            gradients = learner.observe(u, label if t % 3 else None).gradients
            for name, g in (gradients or {}).items():
                with torch.no_grad():
                    net.get_parameter(name).sub_(g, alpha=lr)
    learners[1].finish()
    assert float((nets[0].layer(0).weight("in").detach() - start).abs().max()) > 1e-4
    for (name, a), b in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        assert float((a - b).detach().abs().max() / a.detach().abs().max()) <= 1e-10, name


def test_stack_takes_the_credit_rules_that_do_not_read_w_in_backwards() -> None:
    net = BimNet(BimConfig(n_in=4, hidden=(5, 6), n_out=3, dense_readout=True))
    for credit in ("direct", "dfa", "local"):
        assert LazyLearner(net, 0.1, credit).credit.rule == credit  # type: ignore[arg-type]
    with pytest.raises(InputError, match="filt-win"):
        LazyLearner(net, 0.1, "filt-win")
    with pytest.raises(InputError, match="one"):
        LazyLearner(net, 0.1).observe(torch.zeros(2, 4), None)
