"""Training with learnable delays: they move towards what a task needs, stay in their range, and rules that learn none say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bimhw.learning.checkpoints import Saved
from bimhw.learning.optim import FlatParameters
from bimhw.learning.settings import TrainSettings
from bimhw.learning.train import train
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.delays import Axons
from bimhw.models.bim.net import BimNet, as_bim
from bimhw.tasks.base import Split, Task
from simulator.base.errors import InputError


def filtered(x: Tensor, decay: float = 0.8) -> Tensor:
    out, f = [], torch.zeros_like(x[0])
    for now in x:
        f = decay * f + (1 - decay) * now
        out.append(f)
    return torch.stack(out)


@pytest.mark.parametrize("width", [1, 3])
def test_descent_finds_the_delays_that_made_the_data(width: int) -> None:
    """Spikes of eight channels, each delayed by its own steps, behind a leaky average: Adam at the rate of weights finds all."""
    generator = torch.Generator().manual_seed(0)
    u = (torch.rand(60, 32, 8, generator=generator) < 0.1).double()
    wanted = torch.tensor([0, 1, 3, 4, 6, 7, 9, 10])
    aim = Axons(wanted, 10, 1)
    target = filtered(aim.at(aim.line(u, None), wanted))
    share = torch.full((8,), 0.5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([share], lr=0.01)
    for _ in range(150):
        axons = Axons.of(share, 10, width)
        loss = (filtered(axons.through(axons.line(u, None), share)) - target).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert Axons.of(share, 10, width).steps.tolist() == wanted.tolist()


@pytest.fixture(scope="module")
def task() -> Task:
    rng = np.random.default_rng(0)
    x = (rng.random((64, 20, 4)) < 0.3).astype(np.int32)
    late = np.arange(20) >= 10
    split = Split(x, rng.integers(0, 3, 64))
    return Task("noise", 3, 1.0, split, split.take(slice(0, 60)), late, late)


def config(**fields: Any) -> BimConfig:
    return BimConfig(**({"n_in": 4, "hidden": (6, 5), "n_out": 3, "theta": 0.2, "hidden_delays": 5} | fields))


def delays(net: BimNet) -> Tensor:
    return net.layer(1).get_parameter("delay").detach().clone()


@pytest.mark.parametrize("rule", [{"rule": "bptt"}, {"form": "seq", "credit": "exact"}, {"form": "tr", "block": 5}])
def test_delays_move_and_stay_in_range(task: Task, rule: dict[str, Any]) -> None:
    settings = TrainSettings(**rule, epochs=2, batch=16, lr=0.3)  # far too fast: every delay would leave its range
    found = delays(as_bim(train(task, config(), settings).model, "the test"))
    assert not torch.equal(found, delays(BimNet(config(), settings.seed)))
    assert float(found.min()) >= 0 and float(found.max()) <= 1


@pytest.mark.parametrize(
    "rule", [{"rule": "rtrl"}, {"form": "blk"}, {"rule": "frozen"}, {"rule": "hybrid"}, {"rule": "stdp"}], ids=str
)
def test_rules_that_learn_no_delays_keep_them_or_say_so(task: Task, rule: dict[str, Any]) -> None:
    settings = TrainSettings(**rule, epochs=1, batch=16)
    with pytest.raises(InputError, match=r"learns no delays.*learn_delays=false"):
        train(task, config(), settings)
    fixed = config(learn_delays=False)
    assert torch.equal(
        delays(as_bim(train(task, fixed, settings).model, "the test")), delays(BimNet(fixed, settings.seed))
    )


def test_a_checkpoint_holds_the_delays(task: Task, tmp_path: Path) -> None:
    settings = TrainSettings(rule="bptt", epochs=2, batch=16)
    whole = as_bim(train(task, config(), settings).model, "the test")

    seen = 0

    def stop(n: int) -> None:
        nonlocal seen
        seen += n
        if seen >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, config(), settings, progress=stop, saved=Saved(tmp_path / "c.pt"))
    again = as_bim(train(task, config(), settings, saved=Saved(tmp_path / "c.pt", resume=True)).model, "the test")
    assert torch.equal(delays(again), delays(whole))


def test_parameters_of_a_delay_are_clamped_by_the_optimisers_vector() -> None:
    net = BimNet(config())
    parameters = FlatParameters(net)
    with torch.no_grad():
        net.layer(1).get_parameter("delay")[:2] = torch.tensor([-0.5, 1.5])
    parameters.clamp()
    assert delays(net)[:2].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden": (6,)}, "hidden_delays: is 5, needs a second layer"),
        ({"hidden_delays": 0, "delay_width": 2}, "delay_width: is 2, belongs to"),
        ({"hidden_delays": 0, "learn_delays": False}, "learn_delays: is False, belongs to"),
    ],
)
def test_options_without_delays_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**fields)
