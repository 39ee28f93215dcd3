"""Products by events against products of matrices."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.events import Project, few_events
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError


def _inputs(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    sparse = torch.rand(rows, width, dtype=torch.float64, generator=generator) < 0.03
    return sparse * torch.randn(rows, width, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (7, 40), (200, 148)])
def test_values_and_gradients_are_those_of_a_linear_layer(rows: int, width: int) -> None:
    u = _inputs(rows, width, 1).requires_grad_()
    shapes = [(5, width), (5,), (3, width), (3,)]
    given = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    fast = Project.apply(u, *given)
    slow = (functional.linear(u, *given[:2]), functional.linear(u, *given[2:]))
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    weights = [torch.randn_like(a) for a in fast]
    sums = [sum((a * w).sum() for a, w in zip(part, weights, strict=True)) for part in (fast, slow)]
    for a, b in zip(*(torch.autograd.grad(s, [u, *given]) for s in sums), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_one_hot_inputs_give_the_bits_of_a_product_of_matrices() -> None:
    net = BimNet(BimConfig(n_in=37, hidden=(64,), n_out=37, input_delays=(0, 1)), 0)
    u = functional.one_hot(torch.randint(0, 37, (160, 2)), 37).float().flatten(1)
    layer = net.layer(0)
    assert few_events(u)
    with torch.no_grad():
        drive = layer.project(u)
        for value, port in ((drive.z, "in"), (drive.d, "delta"), (drive.c, "c")):
            assert torch.equal(value, functional.linear(u, layer.weight(port), layer.bias(port)))


def test_a_second_derivative_is_refused_by_the_loops_and_given_without_them() -> None:
    net = BimNet(BimConfig(n_in=37, hidden=(8,), n_out=3), 0).double()
    u = _inputs(160, 37, 2)
    layer = net.layer(0)
    for loops in (True, False):
        (g,) = torch.autograd.grad(layer.project(u).z.square().sum(), layer.get_parameter("w_in"), create_graph=True)
        assert g.requires_grad
        if loops:
            with pytest.raises(InputError, match="create_graph"):
                torch.autograd.grad(
                    layer.project(u, loops=True).z.square().sum(), layer.get_parameter("w_in"), create_graph=True
                )
