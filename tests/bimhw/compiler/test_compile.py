"""The compiler end to end: what it makes is what the simulator runs, and it computes nearly what the float model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.compiler.data import _made_up
from bimhw.compiler.decode import decode, encode, output_probe, scores_by_step
from bimhw.compiler.pipeline import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import Chip
from simulator.chips.load import parse_chip
from simulator.function import run_samples
from tests.bimhw.compiler.plain_integer import run_plain
from tests.bimhw.frontends.test_bim_frontend import kinds, stacked, start

CHIP = """
name: testchip
title: A chip for tests
process_nm: null
capabilities:
  {neuron_models: ["*"], spikes: graded, graded_bits: 16, weight_bits: [1, 2, 3, 4, 5, 6, 7, 8, 9], max_delay: 62, learning: []}
topology: {width: 4, height: 4, cores_per_router: 4, usable_cores: 64}
limits:
  neurons_per_core: {value: 20, unit: "1", source: test, quality: assumed}
  synapse_bytes_per_core: {value: 131072, unit: B, source: test, quality: assumed}
  state_bytes_per_core: {value: 65536, unit: B, source: test, quality: assumed}
  in_axons_per_core: {value: 4096, unit: "1", source: test, quality: assumed}
  out_axons_per_core: {value: 4096, unit: "1", source: test, quality: assumed}
  state_bytes_per_neuron: {value: null, unit: B, source: test, quality: unverified}
timing: null
energy: {synaptic_event: {value: null, unit: pJ, source: none, quality: unverified}}
"""


_CHIP = parse_chip(CHIP, "test")
TOPOLOGY = _CHIP.topology


@pytest.fixture
def chip() -> Chip:
    return _CHIP


def random_net(config: BimConfig, seed: int) -> BimNet:
    net = BimNet(config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.readout.weight.copy_(torch.randn(net.readout.weight.shape, generator=generator))
        net.readout.bias.copy_(torch.randn(net.readout.bias.shape, generator=generator))
        if config.norm == "batch":  # as training leaves it
            for i in range(config.n_layers):
                layer = net.layer(i)
                layer.get_parameter("norm_gain").copy_(1 + 0.3 * torch.rand(config.hidden[i], generator=generator))
                layer.get_parameter("norm_bias").copy_(0.3 * torch.randn(config.hidden[i], generator=generator))
                layer.get_buffer("norm_mean").copy_(0.2 * torch.randn(config.hidden[i], generator=generator))
                layer.get_buffer("norm_var").copy_(0.5 + torch.rand(config.hidden[i], generator=generator))
        if config.learn_a_log:
            for i in range(config.n_layers):
                a_log = net.layer(i).get_parameter("a_log")
                a_log.copy_(0.3 * torch.randn(a_log.shape, generator=generator))
    return net


_STATE = {"diag": "x", "s6": "x0", "complex": "im"}
plain = kinds(
    n_in=st.just(6),
    hidden=st.sampled_from([(12,), (26, 9), (8, 7, 6), (7, 7, 6), (5, 5, 5, 5)]),
    n_out=st.just(4),
    psp=st.sampled_from(["delta", "exp", "alpha"]),
    reset=st.sampled_from(["soft", "hard"]),
    refractory=st.sampled_from([0, 2]),
    readout=st.sampled_from(["spike", "membrane"]),
    adapt_beta=st.sampled_from([0.0, 0.2]),
    input_delays=st.sampled_from([(0,), (0, 2)]),
    learn_a_log=st.booleans(),
    input_scale=st.sampled_from([1.0, 1 / 16, 0.3]),
    channel_delays=st.sampled_from([0, 2]),
)
configs = st.builds(stacked, plain, st.sampled_from([0, 4]), st.booleans())
choices = st.fixed_dictionaries(
    {
        "bits": st.sampled_from([1, 3, 8, 9]),
        "per_row": st.booleans(),
        "free_scales": st.booleans(),
        "state_bits": st.sampled_from([12, 16, 24]),
        "mapping": st.sampled_from(["blocks", "blocks", "auto"]),  # the search takes most of the time
    }
)


@settings(max_examples=20, deadline=None)
@given(config=configs, options=choices, seed=st.integers(0, 2**31))
def test_simulator_equals_plain_integers(config: BimConfig, options: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    payloads = rng.integers(-5, 16, (3, 10, 6)) * (rng.random((3, 10, 6)) < 0.5)
    chip = _CHIP
    result = compile(random_net(config, seed), chip, calibration=payloads, **options)
    program, steps = result.program, result.program.meta["chip_steps"]
    outs, states, saturated = run_plain(program, payloads, steps)
    probes = [("readout", "y"), ("layer1", "V"), ("layer1", _STATE[config.kind])]
    runs = run_samples(program, [encode(program, p) for p in payloads], steps, probes=probes, topology=chip.topology)
    first = program.first_ids()
    for k, spikes in enumerate(runs.spikes):
        for population in program.populations:
            dense = spikes.to_dense(first[population.name], population.size)
            assert (dense == outs[population.name][k]).all()
        for name, word in probes:
            assert (runs.probes[name, word][k] == np.stack([s[word][k] for s in states[name]])).all()
    assert runs.activity.total("saturations") == saturated


@settings(max_examples=15, deadline=None)
@given(config=configs, seed=st.integers(0, 2**31))
def test_many_bits_come_close_to_float(config: BimConfig, seed: int) -> None:
    """9-bit rows, 24-bit states: the scores stay near the float model's unless a threshold tie flips a spike early."""
    rng = np.random.default_rng(seed)
    payloads = rng.integers(0, 16, (6, 12, 6)) * (rng.random((6, 12, 6)) < 0.5)
    net = random_net(config, seed)
    result = compile(
        net, _CHIP, calibration=payloads, bits=9, per_row=True, free_scales=True, state_bits=24, mapping="blocks"
    )
    program = result.program
    runs = run_samples(
        program,
        [encode(program, p) for p in payloads],
        program.meta["chip_steps"],
        probes=[("readout", "y")],
        topology=TOPOLOGY,
    )
    with torch.no_grad():
        x = torch.from_numpy((payloads * config.input_scale).astype(np.float32).transpose(1, 0, 2))
        expected = net.run(x)
    first = program.first_ids()
    same = []
    for i in range(config.n_layers):
        if config.reads_membrane(i):
            continue  # the top layer's spikes never leave it
        at = start(config, i)
        got = np.stack([s.to_dense(first[f"layer{i + 1}"], config.hidden[i])[at : at + 12] for s in runs.spikes])
        same.append(float((got == expected.spikes[i].numpy().transpose(1, 0, 2)).mean()))
    assert all(s > 0.85 for s in same)
    scores = np.stack([scores_by_step(program, {("readout", "y"): y}) for y in runs.probes["readout", "y"]])
    logits = expected.logits.numpy().transpose(1, 0, 2)
    assert np.median(np.abs(scores - logits)) < 0.1 * (np.abs(logits).max() + 1)


def test_decode_averages_the_decision_window(chip: Chip) -> None:
    payloads = np.random.default_rng(0).integers(0, 16, (2, 16, 8))
    config = BimConfig(n_in=8, hidden=(9,), n_out=10, input_scale=1 / 16)
    program = compile(random_net(config, 1), chip).program
    assert program.meta["task"] == "digits"
    assert program.meta["chip_steps"] == 16 + 2
    assert program.meta["output"]["window"] == [14, 15, 16, 17]  # steps 12..15 of the sample, two layers later
    assert output_probe(program) == ("readout", "y")
    _, states, _ = run_plain(program, payloads, 18)
    y = np.stack([s["y"][0] for s in states["readout"]])
    assert np.allclose(decode(program, {("readout", "y"): y}), y[14:18].mean(axis=0) * program.meta["output"]["scale"])


def test_program_survives_its_file_and_compiling_twice_gives_the_same_bytes(chip: Chip, tmp_path: Path) -> None:
    net = random_net(BimConfig(n_in=5, hidden=(30, 4), n_out=3), 2)
    for name in ("a", "b"):
        compile(net, chip, seed=3).program.save(tmp_path / f"{name}.bimhw")
    assert (tmp_path / "a.bimhw").read_bytes() == (tmp_path / "b.bimhw").read_bytes()
    program = compile(net, chip, seed=3).program
    assert bimhw.Program.load(tmp_path / "a.bimhw").sha256() == program.sha256()


def test_made_up_calibration_is_said(chip: Chip) -> None:
    result = compile(random_net(BimConfig(n_in=5, hidden=(6,), n_out=3), 2), chip)
    assert any("made-up" in note for note in result.report["notes"])


def test_pruned_synapses_take_no_memory(chip: Chip) -> None:
    net = random_net(BimConfig(n_in=16, hidden=(16,), n_out=3), 2)
    full = compile(net, chip).report
    for port in ("in", "delta", "c"):
        mask = np.random.default_rng(0).random((16, 16)) < 0.1
        net.add_mask(f"layers.0.mask_{port}", torch.from_numpy(mask))
    pruned = compile(net, chip).report
    assert pruned["synapses"] < 0.25 * full["synapses"]
    bytes_of = [{r["name"]: r["total"] for r in report["resources"]}["synapse_bytes"] for report in (pruned, full)]
    assert bytes_of[0] < 0.3 * bytes_of[1]


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (np.zeros((2, 3, 4), int), r"shape \(2, 3, 4\), needs \[samples, steps, 5\]"),
        (np.zeros((0, 3, 5), int), "none of them 0"),
        (np.zeros((2, 3, 5)), "integer payloads"),
    ],
)
def test_bad_calibration_is_refused(chip: Chip, calibration: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compile(random_net(BimConfig(n_in=5, hidden=(6,), n_out=3), 2), chip, calibration=calibration)


def test_options_out_of_range_are_refused(chip: Chip) -> None:
    net = random_net(BimConfig(n_in=5, hidden=(6,), n_out=3), 2)
    with pytest.raises(InputError, match="option bits: is 10, must be 1 to 9"):
        compile(net, chip, bits=10)
    with pytest.raises(InputError, match=r"task 'digits': has 8 channels .* the model has 5"):
        compile(net, chip, task="digits")


def test_wrong_input_is_refused(chip: Chip) -> None:
    program = compile(random_net(BimConfig(n_in=5, hidden=(6,), n_out=3), 2), chip).program
    with pytest.raises(InputError, match=r"needs \[steps, 5\]"):
        encode(program, np.zeros((3, 4), int))
    with pytest.raises(InputError, match=r"payloads 0\.\.3, the program was compiled for 0\.\.1"):
        encode(program, np.array([[0, 3, 0, 0, 0]]))


def test_refractory_beyond_its_word_is_refused(chip: Chip) -> None:
    with pytest.raises(FitError, match="15 steps"):
        compile(random_net(BimConfig(n_in=5, hidden=(6,), n_out=3, refractory=16), 2), chip)


@pytest.mark.parametrize(
    ("width", "neurons"), [(8, 100), (20_000, 30_000), (1_000_000, 1_100_000), (60_000_000, 60_000_001)]
)
def test_made_up_samples_stay_within_memory(width: int, neurons: int) -> None:
    samples, steps = _made_up(width, neurons)
    assert 1 <= samples <= 64 and 1 <= steps <= 64
    assert samples == steps == 64 or samples == 1 or samples * steps * max(width, neurons) <= 2**25
