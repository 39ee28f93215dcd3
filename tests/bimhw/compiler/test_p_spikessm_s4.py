"""P-SpikeSSM by its authors' definition on the chip: float network = module, integers = plain integers, draws = the host's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.compiler.decode import encode
from bimhw.compiler.pipeline import compile
from bimhw.frontends import load_network
from bimhw.models.io import save_model
from bimhw.models.spikessm.net import Draws
from bimhw.models.spikessm.s4_config import S4SpikeConfig
from bimhw.models.spikessm.s4_net import S4SpikeNet
from mapping.float_run import record
from simulator.chips.load import parse_chip
from simulator.function import run_samples
from simulator.neurons.p_spike_s4 import gelu_table
from tests.bimhw.compiler.plain_integer import run_plain
from tests.bimhw.compiler.plain_s4 import TABLE
from tests.bimhw.compiler.test_compile import CHIP
from tests.bimhw.models.test_p_spikessm_s4 import CONFIGS, random_net


def inputs(config: S4SpikeConfig, seed: int, batch: int, steps: int) -> Any:
    return np.random.default_rng(seed).integers(-8, 16, (batch, steps, config.n_in)).astype(np.int32)


def torch_run(net: S4SpikeNet, payloads: Any, seed: int) -> Any:
    with torch.no_grad():
        return net.run(torch.from_numpy(payloads.transpose(1, 0, 2) * net.config.input_scale), Draws(seed))


def drawn(config: S4SpikeConfig) -> list[tuple[str, int]]:
    """Return the populations that draw, and their lateness: sampler and state space of each layer."""
    both = (("{}.sampler", 0), ("{}", 1))
    return [(n.format(f"layer{i + 1}"), config.latency(i) + part) for i in range(config.n_layers) for n, part in both]


def of_module(run: Any) -> list[Any]:
    return [s.numpy().transpose(1, 0, 2) for pair in zip(run.sampled, run.spikes, strict=True) for s in pair]


@settings(max_examples=15, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31))
def test_float_network_is_the_module(config: S4SpikeConfig, seed: int) -> None:
    net, payloads, steps = random_net(config, seed), inputs(config, seed, 2, 15), 15
    wanted = torch_run(net, payloads, seed)
    probes = [(name, what) for name, _ in drawn(config) for what in ("out", "p")] + [("readout", "y")]
    seen = record(load_network(net), {"input": payloads * config.input_scale}, config.chip_steps(steps), probes, seed)
    chances = [p.numpy().transpose(1, 0, 2) for pair in wanted.chances for p in pair]
    for (name, late), spikes, chance in zip(drawn(config), of_module(wanted), chances, strict=True):
        at = slice(late, late + steps)
        assert np.abs(seen[name, "p"][:, at] - chance).max() < 1e-9
        assert (seen[name, "out"][:, at] == spikes).all()
    at = slice(config.readout_latency, config.readout_latency + steps)
    assert np.abs(seen["readout", "y"][:, at] - wanted.logits.numpy().transpose(1, 0, 2)).max() < 1e-9


@dataclass(frozen=True)
class Case:
    """A network, its inputs' seed and how it is compiled."""

    config: S4SpikeConfig
    seed: int
    bits: int
    per_row: bool
    free: bool
    state_bits: int


CASES = st.builds(
    Case,
    config=CONFIGS,
    seed=st.integers(0, 2**31),
    bits=st.sampled_from([2, 8]),
    per_row=st.booleans(),
    free=st.booleans(),
    state_bits=st.sampled_from([12, 16]),
)


def check_integers(case: Case) -> None:
    """Compare spikes, states and saturations with plain integers."""
    config, seed = case.config, case.seed
    net, payloads = random_net(config, seed), inputs(config, seed, 2, 12)
    chip = parse_chip(CHIP, "test")
    how = {"bits": case.bits, "per_row": case.per_row, "free_scales": case.free, "state_bits": case.state_bits}
    program = compile(net, chip, calibration=payloads, **how).program  # type: ignore[arg-type]
    steps = program.meta["chip_steps"]
    assert steps == config.chip_steps(12)
    assert [program.first_ids()[f"layer{i + 1}.sampler"] for i in range(config.n_layers)] == [
        config.first_id(i) for i in range(config.n_layers)
    ]
    outs, states, saturated = run_plain(program, payloads, steps, seed)
    probes = [("readout", "y"), ("layer1", "re0"), (f"layer{config.n_layers}.mixer", "r")]
    runs = run_samples(program, [encode(program, p) for p in payloads], steps, seed=seed, probes=probes)
    for k, spikes in enumerate(runs.spikes):
        for p in program.populations:
            assert (spikes.to_dense(program.first_ids()[p.name], p.size) == outs[p.name][k]).all()
        for name, word in probes:
            assert (runs.probes[name, word][k] == np.stack([s[word][k] for s in states[name]])).all()
    assert runs.activity.total("saturations") == saturated


@settings(max_examples=6, deadline=None)
@given(CASES)
def test_simulator_equals_plain_integers(case: Case) -> None:
    check_integers(case)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(CASES)
def test_simulator_equals_plain_integers_often(case: Case) -> None:
    check_integers(case)


@pytest.mark.parametrize("fuse", [True, False])
def test_chip_draws_what_the_module_draws(fuse: bool) -> None:
    """Wide words: every spike of the first layer is equal where the number drawn is not within .005 of the probability."""
    config = S4SpikeConfig(n_in=3, hidden=(20,), n_out=3, n_states=16, fuse=fuse, steps=100, input_scale=1 / 16)
    net, payloads = random_net(config, 3), inputs(config, 3, 3, 100)
    program = compile(net, parse_chip(CHIP, "t"), calibration=payloads, bits=9, per_row=True, state_bits=24).program
    steps = program.meta["chip_steps"]
    runs = run_samples(program, [encode(program, p) for p in payloads], steps, seed=5)
    wanted, same = torch_run(net, payloads, 5), np.ones((3, 100, 20), bool)
    for part, ((name, late), spikes) in enumerate(zip(drawn(config), of_module(wanted), strict=True)):
        at, first = slice(late, late + 100), program.first_ids()[name]
        sent = np.stack([s.to_dense(first, 20)[at] for s in runs.spikes])
        with torch.no_grad():
            numbers = net.uniform(0, part, Draws(5), torch.zeros(100, 3, 20, dtype=torch.float64))
        near = (numbers - wanted.chances[0][part]).abs().numpy().transpose(1, 0, 2) < 0.005
        assert 0.02 < spikes.mean() < 0.98
        assert not (sent != spikes)[same & ~near].any()
        assert (sent != spikes).mean() < 0.005
        same = np.cumsum(sent != spikes, 1) == 0  # a sample that differs changes what its state space remembers


def test_from_file_to_energy(tmp_path: Path) -> None:
    task = bimhw.load_task("recall", steps=20, train=8, test=10)
    model = tmp_path / "m.pt"
    bimhw.train(task, model, family="p-spikessm-s4", hidden="6,6", n_states=4, epochs=1)
    program = bimhw.compile(str(model), "loihi2", task=task).program
    result = bimhw.simulate(program, task, 4, engine="none", model=model, output=tmp_path / "run").result
    assert result["decisions_agree"] >= 0.5
    assert sum(item.energy_pj or 0 for item in bimhw.energy(tmp_path / "run", "loihi2").report.items) > 0


def test_binary_throughout_without_fuse(tmp_path: Path) -> None:
    """Without the residual stream the last mixer alone sends graded spikes."""
    net = S4SpikeNet(S4SpikeConfig(n_in=2, hidden=(4, 4, 4), n_out=2, n_states=2, fuse=False))
    network = load_network(save_model(net, tmp_path / "m.pt"))
    assert [p.name for p in network.populations if p.model == "gelu_fuse"] == ["layer3.mixer"]


def test_the_table_of_the_gelu() -> None:
    assert (gelu_table() == TABLE).all()
    x = np.linspace(-6, 6, 9001)
    exact = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    near = np.maximum(x, 0) - TABLE[np.minimum((np.abs(x) * 256).astype(int), 1023)] / 65536
    assert np.abs(near - exact).max() < 0.001
