"""The float network in the chip's time equals the torch module in the model's own time, under the shift of its layers."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.frontends import load_network
from bimhw.frontends.bim import bim_network
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from mapping.float_run import record
from simulator.base.errors import FitError, InputError

DYADIC = 64  # weights are multiples of 1/64, so that sums do not depend on their order


def dyadic_net(config: BimConfig, seed: int) -> BimNet:
    net = BimNet(config, seed).double()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith("a_log"):
                value.copy_(
                    torch.from_numpy(rng.normal(0, 0.4, value.shape) if config.learn_a_log else np.zeros(value.shape))
                )
            elif name.startswith("readout"):
                value.copy_(torch.from_numpy(rng.integers(-DYADIC, DYADIC, value.shape) / DYADIC))
            else:
                value.copy_(torch.round(value * DYADIC) / DYADIC)
    return net


def kinds(**fields: Any) -> st.SearchStrategy[BimConfig]:
    """Draw configurations of all kinds."""
    return st.one_of(
        st.builds(BimConfig, **fields),
        st.builds(
            BimConfig,
            **fields,
            kind=st.just("s6"),
            n_states=st.sampled_from([1, 2, 5]),
            discretisation=st.sampled_from(["euler", "zoh"]),
        ),
        st.builds(
            BimConfig,
            **fields,
            kind=st.just("complex"),
            rotate=st.booleans(),
            state_gain=st.sampled_from(["dc", "variance"]),
            norm=st.sampled_from(["none", "batch"]),
        ),
    )


def start(config: BimConfig, layer: int) -> int:
    """Chip step at which a layer (0-based; the number of layers: the readout) does the model's first step."""
    per = 2 if config.kind == "s6" else 1
    return per * (layer + 1) if layer < config.n_layers else per * layer + 1


def stacked(config: BimConfig, delays: int, residual: bool) -> BimConfig:
    """Return a configuration with learnable delays between its layers and residual connections, where they can be."""
    adds = residual and config.n_layers > 2 and len(set(config.hidden[:-1])) == 1
    return msgspec.structs.replace(config, hidden_delays=delays if config.n_layers > 1 else 0, residual=adds)


plain = kinds(
    n_in=st.just(5),
    hidden=st.sampled_from([(6,), (7, 5), (4, 6, 5), (5, 5, 4), (4, 4, 4, 6)]),
    n_out=st.just(3),
    psp=st.sampled_from(["delta", "exp", "alpha"]),
    tau_m=st.sampled_from([2.0, 3.0]),
    tau_s=st.sampled_from([1.0, 2.0]),
    reset=st.sampled_from(["soft", "hard"]),
    refractory=st.sampled_from([0, 2]),
    dense_readout=st.booleans(),
    adapt_beta=st.sampled_from([0.0, 0.2]),
    input_delays=st.sampled_from([(0,), (0, 2), (1, 3)]),
    channel_delays=st.sampled_from([0, 2]),
    learn_a_log=st.booleans(),
    k_o=st.sampled_from([0.0, 0.8]),
)
configs = st.builds(stacked, plain, st.sampled_from([0, 3]), st.booleans())


@settings(max_examples=60, deadline=None)
@given(config=configs, seed=st.integers(0, 2**31))
def test_float_network_equals_torch(config: BimConfig, seed: int) -> None:
    net = dyadic_net(config, seed)
    rng = np.random.default_rng(seed)
    steps, batch = 15, 3
    x = rng.integers(-3, 8, (batch, steps, config.n_in)) / 8 * (rng.random((batch, steps, config.n_in)) < 0.6)
    network = bim_network(config, {k: v.numpy() for k, v in net.state_dict().items()})
    deep = config.n_layers
    probes = [(f"layer{i + 1}", what) for i in range(deep) for what in ("out", "v_pre")] + [("readout", "y")]
    seen = record(network, {"input": x}, steps + start(config, deep), probes)
    with torch.no_grad():
        expected = net.run(torch.from_numpy(x.transpose(1, 0, 2)))
    for i in range(deep):
        spikes = expected.spikes[i].numpy().transpose(1, 0, 2)
        at = start(config, i)
        assert (seen[f"layer{i + 1}", "out"][:, at : at + steps] == spikes).all()
        v = membranes(net, x, i)
        assert np.abs(seen[f"layer{i + 1}", "v_pre"][:, at : at + steps] - v).max() < 1e-9
    logits = expected.logits.numpy().transpose(1, 0, 2)
    at = start(config, deep)
    assert np.abs(seen["readout", "y"][:, at : at + steps] - logits).max() < 1e-9


def membranes(net: BimNet, x: Any, layer: int) -> Any:
    """V- [B, T, H] of a layer by the torch module, step by step."""
    state, out = net.initial_state(len(x)), []
    with torch.no_grad():
        for t in range(x.shape[1]):
            _, state, records = net.step(torch.from_numpy(x[:, t]), state)
            out.append(records[layer].v_pre.numpy())
    return np.stack(out, axis=1)


@pytest.mark.parametrize("dense", [{}, {"dense_readout": True}])
@pytest.mark.parametrize("kind", [{}, {"kind": "s6", "n_states": 3}])
def test_membrane_readout_equals_torch(kind: dict[str, Any], dense: dict[str, Any]) -> None:
    for psp, k_membrane in (("delta", 0.0), ("exp", 0.5), ("alpha", 0.8)):  # k_o is 0.8: two filters, or one
        fields = {"psp": psp, "readout": "membrane", "k_membrane": k_membrane, "refractory": 1, **dense}
        config = BimConfig(n_in=5, hidden=(6, 7), n_out=3, **fields, **kind)
        net = dyadic_net(config, 4)
        x = np.random.default_rng(4).random((2, 12, 5)).round(1)
        at = start(config, 2)
        seen = record(load_network(net), {"input": x}, 12 + at, [("readout", "y")])
        with torch.no_grad():
            logits = net(torch.from_numpy(x.transpose(1, 0, 2))).numpy().transpose(1, 0, 2)
        assert np.abs(seen["readout", "y"][:, at:] - logits).max() < 1e-9


def test_pruned_synapses_are_absent() -> None:
    net = dyadic_net(BimConfig(n_in=5, hidden=(6,), n_out=3), 1)
    mask = np.random.default_rng(0).random((6, 5)) < 0.5
    net.add_mask("layers.0.mask_in", torch.from_numpy(mask))
    by_name = {q.name: q for q in load_network(net).projections}
    assert by_name["layer1.z"].n_synapses == int((mask & (net.layer(0).w_in.detach().numpy() != 0)).sum())


def test_pruned_shared_projections_are_absent() -> None:
    net = dyadic_net(BimConfig(kind="s6", n_states=2, n_in=5, hidden=(6,), n_out=3), 1)
    mask = np.random.default_rng(0).random((2, 5)) < 0.5
    net.add_mask("layers.0.mask_b", torch.from_numpy(mask))
    by_name = {q.name: q for q in load_network(net).projections}
    assert by_name["layer1.bc.in"].n_synapses == int(mask.sum()) + int((net.layer(0).w_c != 0).sum())


def test_too_many_states_are_refused_by_name() -> None:
    with pytest.raises(FitError, match="n_states: is 65, a neuron has at most 64"):
        load_network(BimNet(BimConfig(kind="s6", n_states=65, n_in=2, hidden=(2,), n_out=2)))


@pytest.mark.parametrize(
    ("model", "message"), [("x.onnx", r"no spiking neurons"), (3, "type 'int'"), ("no.pt", "not exist")]
)
def test_unknown_models_are_refused(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_network(model)
