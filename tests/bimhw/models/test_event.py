"""Networks learnt by spike times: gradient of the logits, steps against events, float network, chip, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import bimhw
from bimhw.frontends import load_network
from bimhw.learning.event_form import event_form
from bimhw.learning.event_prop import EventNeurons
from bimhw.models.event.config import EventConfig
from bimhw.models.event.net import EventInit, EventNet
from mapping.float_run import record
from simulator.base.errors import InputError
from tests.bimhw.learning.test_event_prop import followed


def net_of(seed: int, hidden: tuple[int, ...] = (4, 3), **config: float) -> EventNet:
    return EventNet(
        EventConfig(n_in=3, hidden=hidden, n_out=2, **config), seed, EventInit(mean_in=8, gain_in=5)
    ).double()


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(k, marks=pytest.mark.long) for k in range(2, 60))])
def test_the_gradient_of_logits_is_that_of_autograd(seed: int) -> None:
    """Two layers, graded inputs: spike times by roots that autograd follows, then the readout's response to each."""
    net = net_of(seed, tau_m=8.0, tau_s=3.0)
    x = torch.from_numpy(np.random.default_rng(seed).random((6, 3)).round(2))
    logits = event_form(net)(x[:, None]).logits[:, 0]
    towards = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=logits.shape))
    found = torch.autograd.grad((towards * logits).sum(), tuple(net.parameters()))
    first, second = net.weights
    whole = torch.zeros(7, 10, dtype=torch.float64)
    whole[:4, :3], whole[4:, 3:7] = first, second
    given: list[tuple[float, ...]] = [(float(t), i, float(x[t, i])) for t in range(6) for i in range(3)]
    spikes = followed(whole, given, EventNeurons(8.0, 3.0), 6.0)
    own = [(t, s - 7) for t, s in spikes if s >= 7]
    ends = torch.arange(1.0, 7, dtype=torch.float64)
    wanted = torch.zeros_like(logits)
    for t, n in own:
        since = (ends - t).clamp(min=0)
        eps = (torch.exp(-since / 8) - torch.exp(-since / 3)) * 3 / 5
        wanted = wanted + eps[:, None] * net.readout.get_parameter("weight")[:, n]
    assert float((logits - wanted).detach().abs().max()) < 1e-10
    for a, b in zip(found, torch.autograd.grad((towards * wanted).sum(), tuple(net.parameters())), strict=True):
        assert float((a - b).abs().max()) <= 1e-10 * max(1.0, float(b.abs().max()))


def test_steps_are_the_events_where_spikes_are_rare() -> None:
    """A neuron that spikes once spikes in the same step either way, and its membrane is that of the equations."""
    net = EventNet(EventConfig(n_in=1, hidden=(1,), n_out=1), 0).double()
    with torch.no_grad():
        net.weights[0].fill_(5.0)
    x = torch.zeros(12, 1, 1, dtype=torch.float64)
    x[2] = 1
    events, steps = event_form(net)(x), net.run(x)
    assert events.spikes[0].sum() == 1 and (events.spikes[0] == steps.spikes[0]).all()
    assert float((events.logits - steps.logits).detach().abs().max()) < 0.25 * float(steps.logits.abs().max())


@pytest.mark.parametrize("seed", range(3))
def test_float_network_is_the_module(seed: int) -> None:
    net = net_of(seed)
    x = np.random.default_rng(seed).integers(0, 2, (3, 30, 3))
    run = net.run(torch.from_numpy(x.swapaxes(0, 1) * 1.0))
    seen = record(
        load_network(net), {"input": x * 1.0}, 33, [("layer1", "out"), ("layer2", "out"), ("readout", "v")], 0
    )
    for k in range(2):
        assert (seen[f"layer{k + 1}", "out"][:, k + 1 : k + 31] == run.spikes[k].numpy().swapaxes(0, 1)).all()
    assert np.abs(seen["readout", "v"][:, 3:33] - run.logits.numpy().swapaxes(0, 1)).max() < 1e-10
    assert 0.02 < float(run.spikes[1].mean()) < 0.9


def test_it_learns_compiles_and_is_priced(tmp_path: Path) -> None:
    task, model = bimhw.load_task("sources", train=60, test=20, steps=20, channels=3), tmp_path / "m.safetensors"
    result = bimhw.train(task, model, rule="eventprop", hidden=(6,), epochs=4, batch=5)
    assert result.history[-1].loss < result.history[0].loss and result.memory_words > 0
    program = bimhw.compile(str(model), "loihi2", task=task).program
    done = bimhw.simulate(program, task, 20, model=model, output=tmp_path / "run").result
    assert done["spikes_that_differ"] <= 0.02 * done["spike_slots"] and done["decisions_agree"] >= 0.9
    assert bimhw.energy(tmp_path / "run").report.energy_pj() > 0


def test_what_eventprop_does_not_do_is_refused() -> None:
    task = bimhw.load_task("sources", train=10, test=10, steps=8, channels=2)
    with pytest.raises(InputError, match="is trained by eventprop"):
        bimhw.train(task, family="event", rule="bptt")
    with pytest.raises(InputError, match="is for event networks"):
        bimhw.train(task, family="leaky", rule="eventprop")
    with pytest.raises(InputError, match="layer 1: is silent in the first batch"):
        bimhw.train(task, rule="eventprop", hidden=(2,), theta=1e6)
    with pytest.raises(InputError, match="no gradient"):
        bimhw.train(task, family="event", rate_strength=0.1)
    with pytest.raises(InputError, match="must differ from tau_s"):
        EventConfig(n_in=1, hidden=(1,), n_out=1, tau_m=5.0)
