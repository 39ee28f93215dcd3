"""P-SpikeSSM from the torch module to the chip: the float network is the module, the integers are a plain model's, the draws
are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.compiler.decode import decode, encode, output_probe
from bimhw.compiler.pipeline import compile
from bimhw.frontends import load_network
from bimhw.models.io import save_model
from bimhw.models.spikessm.config import PSpikeConfig
from bimhw.models.spikessm.net import Draws, PSpikeNet
from energy_models.gpu import workload_of
from mapping.float_run import record
from simulator.base.errors import FitError, InputError
from simulator.chips.load import parse_chip
from simulator.events.run import run_events
from simulator.function import run_samples
from tests.bimhw.compiler.beside import compare
from tests.bimhw.compiler.plain_integer import run_plain
from tests.bimhw.compiler.test_compile import CHIP
from tests.bimhw.models.test_p_spikessm import random_net

CONFIGS = st.builds(
    PSpikeConfig,
    n_in=st.just(3),
    hidden=st.sampled_from([(6,), (5, 5), (4, 4, 4)]),
    n_out=st.just(3),
    n_states=st.sampled_from([1, 3]),
    clamp=st.sampled_from([0.5, 1.0, 3.0]),
    k_o=st.sampled_from([0.0, 0.9]),
    input_scale=st.sampled_from([1.0, 1 / 16]),
)


def inputs(config: PSpikeConfig, seed: int, batch: int, steps: int) -> Any:
    return np.random.default_rng(seed).integers(-8, 16, (batch, steps, config.n_in)).astype(np.int32)


def torch_run(net: PSpikeNet, payloads: Any, seed: int) -> Any:
    x = torch.from_numpy(payloads.transpose(1, 0, 2) * net.config.input_scale)
    with torch.no_grad():
        return net.run(x, Draws(seed))


@settings(max_examples=10, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31))
def test_float_network_is_the_module(config: PSpikeConfig, seed: int) -> None:
    net, payloads = random_net(config, seed), inputs(config, seed, 3, 25)
    network, steps, depth = load_network(net), 25, config.n_layers
    probes = [(f"layer{i + 1}", what) for i in range(depth) for what in ("out", "p")] + [("readout", "y")]
    seen = record(network, {"input": payloads * config.input_scale}, config.chip_steps(steps), probes, seed)
    wanted = torch_run(net, payloads, seed)
    for i in range(depth):
        at = slice(config.latency(i), config.latency(i) + steps)
        chance = wanted.chances[i].numpy().transpose(1, 0, 2)
        assert np.abs(seen[f"layer{i + 1}", "p"][:, at] - chance).max() < 1e-10
        assert (seen[f"layer{i + 1}", "out"][:, at] == wanted.spikes[i].numpy().transpose(1, 0, 2)).all()
    at = slice(config.latency(depth), config.latency(depth) + steps)
    assert np.abs(seen["readout", "y"][:, at] - wanted.logits.numpy().transpose(1, 0, 2)).max() < 1e-10


@settings(max_examples=10, deadline=None)
@given(
    config=CONFIGS,
    seed=st.integers(0, 2**31),
    bits=st.sampled_from([2, 8]),
    per_row=st.booleans(),
    free=st.booleans(),
    state_bits=st.sampled_from([12, 16, 24]),
)
def test_simulator_equals_plain_integers(
    config: PSpikeConfig, seed: int, bits: int, per_row: bool, free: bool, state_bits: int
) -> None:
    net, payloads = random_net(config, seed), inputs(config, seed, 2, 12)
    chip = parse_chip(CHIP, "test")
    how = {"bits": bits, "per_row": per_row, "free_scales": free, "state_bits": state_bits}
    program = compile(net, chip, calibration=payloads, **how).program  # type: ignore[arg-type]
    steps = program.meta["chip_steps"]
    assert steps == config.chip_steps(12)
    assert [program.first_ids()[f"layer{i + 1}"] for i in range(config.n_layers)] == [
        config.first_id(i) for i in range(config.n_layers)
    ]
    outs, states, saturated = run_plain(program, payloads, steps, seed)
    probes = [("readout", "y"), ("layer1", "re0"), ("encoder", "r")]
    trains = [encode(program, p) for p in payloads]
    runs = run_samples(program, trains, steps, seed=seed, probes=probes, topology=chip.topology)
    for k, spikes in enumerate(runs.spikes):
        for p in program.populations:
            assert (spikes.to_dense(program.first_ids()[p.name], p.size) == outs[p.name][k]).all()
        for name, word in probes:
            assert (runs.probes[name, word][k] == np.stack([s[word][k] for s in states[name]])).all()
    assert runs.activity.total("saturations") == saturated


@pytest.mark.parametrize("seed", [0, 5])
def test_chip_draws_what_the_module_draws(seed: int) -> None:
    """One layer, wide words: spikes are equal wherever the number drawn is not within the table's step of the probability."""
    config = PSpikeConfig(n_in=3, hidden=(20,), n_out=3, input_scale=1 / 16)
    net, payloads = random_net(config, 3), inputs(config, 3, 4, 100)
    program = compile(net, parse_chip(CHIP, "t"), calibration=payloads, bits=9, per_row=True, state_bits=24).program
    steps = program.meta["chip_steps"]
    runs = run_samples(program, [encode(program, p) for p in payloads], steps, seed=seed)
    sent = np.stack([s.to_dense(program.first_ids()["layer1"], 20)[2:102] for s in runs.spikes])
    wanted = torch_run(net, payloads, seed)
    with torch.no_grad():
        drawn = net.uniform(0, 100, 4, Draws(seed), torch.zeros(1, dtype=torch.float64)).numpy()
    near = np.abs(drawn - wanted.chances[0].numpy()).transpose(1, 0, 2) < 0.01
    differs = sent != wanted.spikes[0].numpy().transpose(1, 0, 2)
    assert near.mean() < 0.05
    assert not differs[~near].any()
    assert differs.mean() < 0.005
    other = torch_run(net, payloads, seed + 1).spikes[0].numpy().transpose(1, 0, 2)
    assert (sent != other).mean() > 0.1


def test_compare_and_event_engine() -> None:
    config = PSpikeConfig(n_in=3, hidden=(8, 8), n_out=3, input_scale=1 / 16)
    net, payloads, chip = random_net(config, 1), inputs(config, 1, 2, 20), parse_chip(CHIP, "t")
    result = compile(net, chip, calibration=payloads)
    found = compare(result, payloads, chip.topology, seed=4)  # type: ignore[arg-type]
    rows = {d.population: d for d in found.populations}
    assert rows["encoder"].graded
    assert rows["encoder"].rms_error < 0.02
    assert rows["layer1"].differ < 0.03 * rows["layer1"].of
    loihi = bimhw.load_chip("loihi2")
    program = compile(net, loihi, calibration=payloads, neurons_per_core=5).program
    steps, train = program.meta["chip_steps"], encode(program, payloads[0])
    flat = bimhw.run(program, train, steps, seed=4)
    event, _ = run_events(program, loihi, train, steps, seed=4)
    assert (event.spikes.ids == flat.spikes.ids).all()
    assert (event.spikes.ptr == flat.spikes.ptr).all()


def test_many_bits_come_close_to_the_module() -> None:
    config = PSpikeConfig(n_in=3, hidden=(16, 16), n_out=3, input_scale=1 / 16, k_o=0.9)
    net, payloads = random_net(config, 2), inputs(config, 2, 3, 60)
    program = compile(net, parse_chip(CHIP, "t"), calibration=payloads, bits=9, per_row=True, state_bits=24).program
    probe = output_probe(program)
    trains = [encode(program, p) for p in payloads]
    runs = run_samples(program, trains, program.meta["chip_steps"], probes=(probe,))
    scores = np.array([decode(program, {probe: r}) for r in runs.probes[probe]])
    wanted = torch_run(net, payloads, 0).logits[-1].numpy()
    assert np.sqrt(np.mean((scores - wanted) ** 2) / np.mean(wanted**2)) < 0.1


def test_file_commands(tmp_path: Path) -> None:
    task = bimhw.load_task("recall", steps=40, train=20, test=10)
    plan = {"family": "p-spikessm", "hidden": "8,8", "epochs": 1}
    bimhw.train(task, tmp_path / "m.safetensors", **plan)  # type: ignore[arg-type]
    result = bimhw.compile(tmp_path / "m.safetensors", calibration=task.train.x.astype(np.int32))
    found = bimhw.fit(tmp_path / "m.safetensors", calibration=task.train.x.astype(np.int32))
    assert found["fits"]
    assert not next(c for c in found["other_chips"] if c["chip"] == "loihi1")["fits"]
    done = bimhw.simulate(result.program, task, model=tmp_path / "m.safetensors", output=tmp_path / "run", seed=3)
    assert [la["population"] for la in done.result["layers"]] == ["layer1", "layer2"]
    assert done.result["spikes_that_differ"] < 0.03 * done.result["spike_slots"]
    costs = bimhw.energy(done.folder, gpu="h100")
    assert costs.report.figures()["total_uj_per_inference"] > 0
    names = [i.name for i in costs.report.items]
    assert any("random" in n for n in names)
    assert costs.learning == ()
    work = workload_of(result.program, 40)
    assert work.parameters == 7 * 8 + 2 * 8 * 8 + 4 * 8 + 8 * 4
    assert work.schedule == "scan"
    assert {(c.mode, c.schedule) for c in costs.gpu} == {("inference", "scan"), ("bptt", "scan")}
    assert any("log2 T rounds" in line for line in costs.gpu[0].assumptions)


def test_refused(tmp_path: Path) -> None:
    config = PSpikeConfig(n_in=1, hidden=(2,) * 31, n_out=2)
    with pytest.raises(FitError, match="at most 30 layers"):
        load_network(PSpikeNet(config))
    net = PSpikeNet(PSpikeConfig(n_in=1, hidden=(2,), n_out=2))
    path = save_model(net, tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"fine-tuning.*for BIM"):
        bimhw.finetune(path, "recall")
    program = bimhw.compile(path, calibration=np.ones((2, 9, 1), np.int32)).program
    with pytest.raises(InputError, match="family 'p-spikessm'"):
        bimhw.model_of(program)
    with torch.no_grad():
        net.layer(0).get_parameter("b_spike").fill_(1e6)
    with pytest.raises(FitError, match="'b'"):
        bimhw.compile(net, calibration=np.ones((2, 9, 1), np.int32))
