"""Dropout of the readout's features: the masks' share and scale, only while training, the same after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bimhw.learning.dropout import Dropped, dropped
from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.objectives.language import LanguageSettings
from bimhw.learning.recipe import recipe
from bimhw.learning.train import Trainer, TrainSettings
from bimhw.models.bim import complex_state
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.nets import build
from bimhw.studies.baselines.models import Recurrent
from bimhw.studies.baselines.models import build as baseline
from bimhw.tasks.base import Split, Task, late_steps
from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRAINING
from tests.bimhw.models.test_complex_state import _plain_scan


def _task() -> Task:
    rng = np.random.default_rng(0)
    parts = [Split(rng.integers(0, 3, (n, 6, 4)), rng.integers(0, 3, n)) for n in (24, 20)]
    return Task("few", 3, 0.5, *parts, late_steps(6, 3), late_steps(6, 2))


def test_a_sequence_has_one_mask_of_the_share_asked_for() -> None:
    readout = torch.nn.Linear(400, 400, bias=False)
    torch.nn.init.eye_(readout.weight)
    given = 1 + torch.rand(5, 50, 400, generator=torch.Generator().manual_seed(0))
    masked = Dropped(readout, lambda x, state: (readout(x), state), 0.25, seed=3)
    out, _ = masked(given, None)
    factor = (out / given).detach()
    torch.testing.assert_close(factor, factor[:1].expand_as(factor))  # the same for all steps
    kept = (factor[0] > 0).float()
    torch.testing.assert_close(factor[0], kept / 0.75)
    assert abs(float(kept.mean()) - 0.75) < 4 * (0.25 * 0.75 / kept.numel()) ** 0.5
    assert float(kept.mean(0).std()) < 0.1  # each sequence has its own
    assert masked.seen == 50
    assert torch.equal(readout(given), given)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("seed", range(5))
def test_gradients_through_a_mask_are_autograds(norm: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fields: dict[str, Any] = {"kind": "complex", "norm": norm, "input_delays": (0, 2), "dense_readout": True}
    config = BimConfig(n_in=4, hidden=(6, 5), n_out=3, theta=0.2, psp="delta", learn_a_log=True, **fields)
    x = torch.rand(9, 3, 4, generator=torch.Generator().manual_seed(seed)).double()
    found = []
    for run in (run_compiled, BimNet.run):
        if run is BimNet.run:
            monkeypatch.setattr(complex_state, "scan", _plain_scan)
        net = BimNet(config, seed).double()
        torch.nn.init.normal_(net.readout.weight, generator=torch.Generator().manual_seed(seed))

        def forward(x: Tensor, _: object, net: BimNet = net, run: Callable[..., Any] = run) -> tuple[Tensor, None]:
            return run(net, x).logits, None

        logits, _ = Dropped(net.readout, forward, 0.4, seed)(x, None)
        logits.square().sum().backward()
        found.append({name: p.grad for name, p in net.named_parameters()})
        assert all(gradient is not None for gradient in found[-1].values())
    for name, gradient in found[1].items():
        torch.testing.assert_close(found[0][name], gradient, rtol=1e-10, atol=1e-12)


def _begun(task: Task, share: float) -> Trainer:
    plan = recipe(task, rule="bptt", hidden=8, epochs=2, batch=8, lr=0.05, dropout=share)
    return Trainer(build(plan.config, 0, plan.init), task, plan.settings)


def test_a_resumed_run_draws_what_the_whole_one_does() -> None:
    task = _task()
    whole, first, second, without = (_begun(task, share) for share in (0.4, 0.4, 0.4, 0.0))
    for trainer in (whole, without):
        for number in (1, 2):
            trainer.epoch(number, lambda _: None)
    first.epoch(1, lambda _: None)
    second._load(first.state())
    second.epoch(2, lambda _: None)
    assert torch.equal(whole.updater.parameters.values, second.updater.parameters.values)
    assert not torch.equal(whole.updater.parameters.values, without.updater.parameters.values)


def test_a_baseline_reads_its_states_through_the_mask() -> None:
    gru = baseline("gru", 4, 3, 16, seed=0)
    assert isinstance(gru, Recurrent)
    x = torch.rand(5, 7, 4, generator=torch.Generator().manual_seed(0))
    out, _ = dropped(gru, gru, LanguageSettings(rule="tbptt", dropout=0.5, seed=3))(x, None)
    mask = np.random.default_rng((3, STREAM_TRAINING, 0)).random((7, 16)) >= 0.5
    states, _ = gru.cell(x)
    torch.testing.assert_close(out, gru.readout(states * torch.from_numpy(mask) / 0.5))


@pytest.mark.parametrize(("rule", "share"), [("rtrl", 0.1), ("frozen", 0.1), ("bptt", 1.0), ("bptt", -0.1)])
def test_a_share_out_of_range_or_without_effect_is_refused(rule: str, share: float) -> None:
    with pytest.raises(InputError, match="dropout"):
        TrainSettings(rule=rule, dropout=share)


def test_only_bim_networks_have_it() -> None:
    task = _task()
    plan = recipe(task, family="p-spikessm", hidden=4, dropout=0.1)
    with pytest.raises(InputError, match="dropout: is for BIM"):
        Trainer(build(plan.config, 0, plan.init), task, plan.settings)
