"""Networks of meta-neurons: gradient, float network, chip, and the readout by complexity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bimhw
from bimhw.frontends import load_network
from bimhw.models.meta import net as meta_net
from bimhw.models.meta.complexity import phrases
from bimhw.models.meta.config import MetaConfig
from bimhw.models.meta.nearest_mean import complexity_readout
from bimhw.models.meta.net import MetaInit, MetaNet
from bimhw.models.spikessm.net import Draws
from bimhw.studies.literature.lempel_ziv import lz76
from mapping.float_run import record
from simulator.base.errors import InputError

TASK = {"train": 60, "test": 20, "steps": 40, "channels": 3}


def net_of(seed: int, **config: Any) -> MetaNet:
    shape = MetaConfig(n_in=3, hidden=(4, 3), n_out=2, **config)
    rng, net = np.random.default_rng(seed), MetaNet(shape, seed, MetaInit(gain_in=4)).double()
    with torch.no_grad():
        net.layers[1].get_parameter("bias").fill_(0.8)
        for value in [*net.parameters(), *net.buffers()]:
            value += torch.from_numpy(rng.normal(0, 0.05, tuple(value.shape)))
    return net


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("readout", ["filter", "lz76"])
def test_float_network_is_the_module(seed: int, readout: str) -> None:
    net = net_of(seed, transmit=0.7, readout=readout, longest=30)
    x = np.random.default_rng(seed).integers(0, 2, (3, 30, 3))
    with torch.no_grad():
        wanted = net.run(torch.from_numpy(x.swapaxes(0, 1) * 1.0), Draws(seed))
    config, probes = net.config, [("layer1", "out"), ("layer2", "out"), ("readout", "y")]
    seen = record(load_network(net), {"input": x * 1.0}, 30 + config.readout_latency, probes, seed)
    for k in range(2):
        assert (seen[f"layer{k + 1}", "out"][:, k + 1 : k + 31] == wanted.spikes[k].numpy().swapaxes(0, 1)).all()
    late = config.readout_latency
    assert np.abs(seen["readout", "y"][:, late : late + 30] - wanted.logits.numpy().swapaxes(0, 1)).max() < 1e-10
    assert 0.02 < float(wanted.spikes[1].mean()) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_gradient_of_the_smooth_neuron_is_that_of_its_differences(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a step function whose true slope is the surrogate, autograd must agree with differences in every constant."""

    def smooth(distance: torch.Tensor, width: float, reached: bool) -> torch.Tensor:
        return distance / (1 + distance.abs() / width)

    monkeypatch.setattr(meta_net, "spike", smooth)
    net = net_of(seed, transmit=0.8)
    x = torch.from_numpy(np.random.default_rng(seed).random((4, 1, 3)))
    names, values = zip(*net.named_parameters(), strict=True)

    def loss(*given: torch.Tensor) -> torch.Tensor:
        out = torch.func.functional_call(_Run(net), {f"net.{n}": v for n, v in zip(names, given, strict=True)}, (x,))
        return (out**2).sum()  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(loss, values, eps=1e-6, atol=1e-6)


class _Run(torch.nn.Module):
    def __init__(self, net: MetaNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net.run(x, Draws(3)).logits


@pytest.mark.parametrize("learn", [True, False])
def test_constants_learn_or_stay(learn: bool) -> None:
    result = bimhw.train(bimhw.load_task("sources", **TASK), family="meta", hidden=(4,), epochs=1, learn_neuron=learn)
    state, start = result.model.state_dict(), MetaInit()
    moved = [
        float((state[f"layers.0.{n}"] - getattr(start, n)).abs().max()) for n in ("leak", "theta", "rec_u", "jump")
    ]
    assert min(moved) > 0 if learn else max(moved) == 0


def test_phrases_are_those_of_every_prefix() -> None:
    trains = np.random.default_rng(0).random((40, 6)) < 0.4
    seen = phrases(trains)
    assert all(seen[t, j] == lz76(trains[: t + 1, j]) for t in range(40) for j in range(6))


@pytest.mark.parametrize("chip", ["loihi2", "generic"])
def test_complexity_on_the_chip_is_the_hosts(tmp_path: Path, chip: str) -> None:
    task = bimhw.load_task("sources", **TASK)
    net = MetaNet(MetaConfig(n_in=3, hidden=(4,), n_out=2, transmit=0.9, longest=40), 1, MetaInit(gain_in=3))
    fitted = complexity_readout(net, task.train.x, task.train.y, task.decision_steps)
    bimhw.save_model(fitted, tmp_path / "lz.safetensors")
    program = bimhw.compile(str(tmp_path / "lz.safetensors"), chip, task=task, bits=8).program
    done = bimhw.simulate(program, task, 20, model=tmp_path / "lz.safetensors", output=tmp_path / "run").result
    assert done["spikes_that_differ"] <= 0.02 * done["spike_slots"] and done["decisions_agree"] >= 0.9
    assert bimhw.energy(tmp_path / "run").report.energy_pj() > 0
    with torch.no_grad():
        host = fitted.run_samples(torch.from_numpy(task.test.x.swapaxes(0, 1) * 1.0).float())
        seen = fitted.run_samples(torch.from_numpy(task.train.x.swapaxes(0, 1) * 1.0).float())
    counts, known = (phrases(run.spikes[-1].numpy() > 0)[-1] for run in (host, seen))
    means = np.stack([known[task.train.y == k].mean(0) for k in range(2)])
    nearest = ((counts[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == host.logits[-1].argmax(1).numpy()).all()  # the linear readout is the nearest mean


def test_a_train_that_is_too_long_is_refused() -> None:
    net = MetaNet(MetaConfig(n_in=1, hidden=(2,), n_out=2, longest=10))
    with pytest.raises(InputError, match="holds 10"):
        complexity_readout(net, np.zeros((2, 11, 1), np.int16), np.array([0, 1]), np.ones(11, np.bool_))
    with pytest.raises(InputError, match="no sample"):
        complexity_readout(net, np.zeros((2, 10, 1), np.int16), np.array([0, 0]), np.ones(10, np.bool_))
