"""Leaky networks from the torch module to the chip: the float network is the module, and a trained one goes the whole way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.frontends import load_network
from bimhw.models.io import load_model, save_model
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyNet
from mapping.float_run import record
from simulator.base.errors import InputError
from simulator.program.graph import Population

CONFIGS = st.builds(
    LeakyConfig,
    n_in=st.just(3),
    hidden=st.sampled_from([(6,), (5, 4)]),
    n_out=st.just(3),
    keep=st.sampled_from([0.5, 0.75, 0.9375]),
    adapt_jump=st.sampled_from([0.0, 0.25]),
    adapt_keep=st.sampled_from([0.5, 0.96875]),
    recurrent=st.booleans(),
    k_o=st.sampled_from([0.0, 0.9]),
)


@settings(max_examples=30, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31))
def test_float_network_is_the_module(config: LeakyConfig, seed: int) -> None:
    net = LeakyNet(config, seed).double()
    payloads = np.random.default_rng(seed).integers(0, 3, (2, 20, 3)).astype(np.int32)
    names = [f"layer{k + 1}" for k in range(config.n_layers)]
    probes = [*((name, "out") for name in names), ("readout", "y")]
    found = record(load_network(net), {"input": payloads.astype(float)}, 20 + config.n_layers + 2, probes)
    with torch.no_grad():
        run = net.run(torch.from_numpy(payloads.transpose(1, 0, 2)).double())
    for k, name in enumerate(names):
        late = found[name, "out"][:, k + 1 : k + 21]
        np.testing.assert_array_equal(late, run.spikes[k].numpy().transpose(1, 0, 2))
    late = found["readout", "y"][:, config.n_layers + 1 : config.n_layers + 21]
    np.testing.assert_allclose(late, run.logits.numpy().transpose(1, 0, 2), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"recurrent": True, "adapt_jump": 0.25}], ids=["lif", "recurrent-alif"])
def test_a_network_trained_by_e_prop_runs_on_a_chip(options: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    trained = bimhw.train("digits", file, family="leaky", rule="e-prop", epochs=1, lr=0.03, hidden="32", **options)
    assert trained.final.accuracy > 0.25  # chance: 0.1
    loaded = load_model(file)
    assert isinstance(loaded, LeakyNet) and loaded.config == trained.model.config
    program = bimhw.compile(file, "loihi2", task="digits").program
    run = bimhw.simulate(program, "digits", samples=50, model=file, output=tmp_path / "run")
    assert run.result["decisions_agree"] >= 0.8
    assert bimhw.energy(run.folder).compare()


def test_a_config_out_of_range_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model config: keep: is 1\.5, must be in 0\.\.1"):
        LeakyConfig(n_in=1, hidden=(2,), n_out=2, keep=1.5)
    with pytest.raises(InputError, match=r"k_o"):
        bimhw.train("digits", tmp_path / "x.pt", family="leaky", k_o=1.0)
    net = LeakyNet(LeakyConfig(n_in=1, hidden=(2,), n_out=2), 0)
    assert save_model(net, tmp_path / "m.pt").is_file()


def test_a_threshold_beyond_reach_costs_the_others_nothing() -> None:
    """A neuron that never fires has no say in the membrane's binary point, and fires on the chip as often."""
    from bimhw.models.stack import LIF, Stack

    torch.manual_seed(0)
    net = Stack(torch.nn.Linear(6, 5, bias=False), LIF(0.8))
    with torch.no_grad():
        net[0].weight.abs_()
    x = (np.random.default_rng(0).random((2, 12, 6)) < 0.5).astype(np.int32)
    plain = bimhw.compile(net, "loihi2", calibration=x, mapping="blocks")
    far = replace(plain.float_network, populations=tuple(map(_far, plain.float_network.populations)))
    made = bimhw.compile(far, "loihi2", calibration=x, mapping="blocks").network.population("1").params
    usual = plain.network.population("1").params
    assert {k: int(v) for k, v in made.items() if k not in ("theta",)} == {
        k: int(v) for k, v in usual.items() if k != "theta"
    }
    assert made["theta"].tolist() == [*[int(usual["theta"])] * 4, int(usual["limit"]) + 1]


def _far(p: Population) -> Population:
    if "theta" not in p.params:
        return p
    theta = np.broadcast_to(p.params["theta"], (p.size,)).copy()
    theta[-1] = 1e5
    return replace(p, params={**p.params, "theta": theta})
