"""lava-dl netx files: written by the test, run, and compared with torch's convolutions and Lava's fixed-point LIF in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import bimhw
from bimhw.frontends.netx.network import netx_network
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.function import run_samples
from simulator.program.spikes import SpikeTrain
from tests.thinned import first

h5py = pytest.importorskip("h5py")
STEPS = 24
CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 256, "vThMant": 60}


def write(path: Path, layers: list[dict[str, Any]]) -> Path:
    """Write a netx file: group `layer` with 0, 1, 2 ..., as lava-dl's export writes it."""
    with h5py.File(path, "w") as file:
        for k, layer in enumerate(layers):
            group = file.create_group(f"layer/{k}")
            for key, value in layer.items():
                if isinstance(value, dict):
                    for name, inner in value.items():
                        group.create_dataset(f"{key}/{name}", data=inner)
                else:
                    group.create_dataset(key, data=value)
    return path


def net(seed: int) -> list[dict[str, Any]]:
    """Input [2, 5, 6], conv (padding, stride, dilation, groups, bias), pool, flatten, dense with delays, dense."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> npt.NDArray[np.int64]:
        return rng.integers(-60, 100, shape) * 2

    groups = 1 + seed % 2
    stride, padding = (1, 2) if seed % 3 else (1, 1), (1, 0)
    width = 2 if seed % 3 else 4
    kernel = weight(4, 2 // groups, 3, 3, 1)
    return [
        {"type": "input", "shape": [2, 5, 6]},
        {"type": "conv", "shape": [4, 5, width], "neuron": CUBA, "weight": kernel, "stride": stride, "padding": padding,
         "dilation": [1, 1], "groups": groups, "bias": rng.integers(-5, 20, 4)},
        {"type": "pool", "shape": [4, 2, width // 2], "neuron": CUBA, "kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0],
         "dilation": [1, 1], "weight": 40},
        {"type": "flatten", "shape": [4 * (width // 2) * 2]},
        {"type": "dense", "shape": [7], "neuron": CUBA | {"vThMant": 90}, "weight": weight(7, 8 * (width // 2)),
         "delay": rng.integers(0, 3, 7)},
        {"type": "dense", "shape": [3], "neuron": CUBA | {"iDecay": 4096}, "weight": weight(3, 7)},
    ]  # fmt: skip


class _Lif:
    """Lava's fixed-point LIF: du is raised by one, both decays round the magnitude down, the current is in 1/64."""

    def __init__(self, size: int, neuron: dict[str, Any], bias: npt.NDArray[np.int64]) -> None:
        self.u, self.v = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.neuron, self.bias = neuron, bias

    def step(self, a: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        def decayed(x: npt.NDArray[np.int64], by: int) -> npt.NDArray[np.int64]:
            return np.sign(x) * (np.abs(x) * (4096 - by) >> 12)

        self.u = decayed(self.u, self.neuron["iDecay"]) + (a << 6)
        self.v = decayed(self.v, self.neuron["vDecay"]) + self.u + (self.bias << 6)
        spikes = self.v > self.neuron["vThMant"] << 6
        self.v[spikes] = 0
        return spikes.astype(np.int64)


def _drive(layer: dict[str, Any], x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return what arrives at a layer from the spikes x [channel, y, x] or [n]."""
    if layer["type"] == "dense":
        return np.asarray(layer["weight"] @ x.reshape(-1), np.int64)
    image = torch.tensor(x, dtype=torch.float64)[None]
    if layer["type"] == "pool":
        return np.asarray((torch.nn.functional.avg_pool2d(image, 2) * 4 * layer["weight"])[0], np.float64).astype(
            np.int64
        )
    turned = torch.tensor(layer["weight"][:, :, ::-1, ::-1, 0].copy(), dtype=torch.float64)
    out = torch.nn.functional.conv2d(image, turned, None, layer["stride"], layer["padding"], 1, layer["groups"])
    return np.asarray(out[0], np.float64).astype(np.int64)


def _expected(layers: list[dict[str, Any]], x: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Spikes of every layer, each fed with the step before of the one in front of it."""
    names = [f"{layer['type']}{k}" for k, layer in enumerate(layers)]
    out = {names[0]: x}
    front, delay, shape = names[0], np.zeros(60, np.int64), (2, 5, 6)
    for name, layer in zip(names[1:], layers[1:], strict=True):
        if layer["type"] == "flatten":
            continue
        given = out[front]
        late = np.zeros_like(given)
        for i, d in enumerate(delay):
            late[1 + d :, i] = given[: len(given) - 1 - d, i]
        drives = [_drive(layer, row.reshape(shape)) for row in late]
        bias = np.repeat(np.asarray(layer.get("bias", 0)), drives[0].size // np.size(layer.get("bias", 0)))
        lif = _Lif(drives[0].size, layer["neuron"], bias)
        out[name] = np.stack([lif.step(d.reshape(-1)) for d in drives])
        front, delay, shape = name, np.broadcast_to(layer.get("delay", 0), drives[0].size), drives[0].shape
    return out


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
@pytest.mark.parametrize("seed", first(3, range(6)))
def test_every_layer_spikes_as_in_lavas_arithmetic(seed: int, chip: str, tmp_path: Path) -> None:
    layers = net(seed)
    x = (np.random.default_rng(seed + 100).random((STEPS, 60)) < 0.3).astype(np.int64)
    made = bimhw.compile(write(tmp_path / "n.net", layers), chip, calibration=x[None].astype(np.int32))
    train = SpikeTrain.from_dense(x.astype(np.int32))
    spikes = run_samples(made.program, [train], STEPS, topology=load_chip(chip).topology).spikes[0]
    first = made.program.first_ids()
    total = 0
    for name, wanted in list(_expected(layers, x).items())[1:]:
        got = spikes.to_dense(first[name], wanted.shape[1])
        np.testing.assert_array_equal(got[:STEPS], wanted, err_msg=name)
        total += int(wanted.sum())
    assert total > 50


def test_input_neurons_take_the_affine_input(tmp_path: Path) -> None:
    """2 w x - w + bias of each value x, as netx's input block makes it."""
    neuron = CUBA | {"iDecay": 4096, "vThMant": 30}
    layers = [
        {"type": "input", "shape": [3], "neuron": neuron, "weight": 20, "bias": 25},
        {"type": "dense", "shape": [2], "neuron": CUBA, "weight": np.array([[40, 2, -10], [0, 60, 60]])},
    ]
    x = np.random.default_rng(0).integers(0, 2, (STEPS, 3))
    made = bimhw.compile(write(tmp_path / "n.net", layers), "loihi2", calibration=x[None].astype(np.int32))
    spikes = run_samples(made.program, [SpikeTrain.from_dense(x.astype(np.int32))], STEPS).spikes[0]
    lif = _Lif(3, neuron, np.zeros(3, np.int64))
    before = np.concatenate([np.zeros((1, 3), np.int64), x[:-1]])
    wanted = np.stack([lif.step(2 * 20 * row - 20 + 25) for row in before])
    np.testing.assert_array_equal(spikes.to_dense(made.program.first_ids()["input_neurons"], 3), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "average"}, "layer 5: of type 'average' averages over neurons"),
        ({"type": "concat"}, "joins layers"),
        ({"type": "lstm"}, "'lstm' is not known"),
        ({"neuron": {"type": "RF", "vThMant": 1}}, "is of type 'RF'"),
        ({"neuron": {"type": "SDNN", "vThMant": 1, "activation": "tanh"}}, "has the activation 'tanh'"),
        ({"neuron": {"type": "SDNN", "vThMant": 5000}}, "vth: reaches 5,000; 2,047 is the most"),
        ({"neuron": {"type": "SDNN", "sigma_output": 1}, "bias": np.ones(3, int)}, "has a bias on a sigma output"),
        ({"neuron": {"type": "CUBA", "iDecay": 5}}, "vDecay: is missing"),
        ({"weight": np.full((3, 7), 0.5)}, "holds numbers that are not whole"),
        ({"weight": np.ones((3, 6), int)}, "has 18 values for 7 inputs and 3 neurons"),
        ({"delay": np.array([-1])}, "a delay is not negative"),
        ({"bias": np.ones(2, int)}, "has 2 values for 3 neurons"),
    ],
)
def test_what_is_not_read_is_refused_by_layer(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    layers = net(0)
    layers[-1] = layers[-1] | change
    with pytest.raises(InputError, match=message):
        netx_network(write(tmp_path / "n.net", layers))


def test_other_hdf5_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "n.net", "w") as file:
        file.create_dataset("weights", data=np.ones(3))
    with pytest.raises(InputError, match="has no layers 0, 1, 2"):
        netx_network(tmp_path / "n.net")
    (tmp_path / "x.net").write_bytes(b"g 6 threshold=1.0")
    with pytest.raises(InputError):
        netx_network(tmp_path / "x.net")


SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 3}


class _SigmaDelta:
    """Lava's fixed-point SigmaDelta, spike_exp = state_exp = 6; as `Delta` where its values arrive as they are."""

    def __init__(self, size: int, vth: int, bias: npt.NDArray[np.int64] | int) -> None:
        self.sigma, self.act, self.residue = (np.zeros(size, np.int64) for _ in range(3))
        self.vth, self.bias = vth << 12, np.asarray(bias, np.int64) << 12

    def send(self, act: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        delta = act - self.act + self.residue
        out = np.where(np.abs(delta) >= self.vth, delta, 0)
        self.residue, self.act = delta - out, act
        return out >> 6

    def step(self, a: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        self.sigma = self.sigma + a
        return self.send(np.maximum(self.sigma + self.bias, 0))


@pytest.mark.parametrize("seed", first(2, range(4)))
def test_sigma_delta_layers_are_lavas(seed: int, tmp_path: Path) -> None:
    """Input [1, 4, 4] of values, conv, dense with a bias, dense whose sums are the answer."""
    rng = np.random.default_rng(seed)
    kernel, bias = rng.integers(-40, 60, (3, 1, 2, 2, 1)), rng.integers(-20, 20, 6)
    middle, last = rng.integers(-60, 60, (6, 27)), rng.integers(-60, 60, (3, 6))
    layers = [
        {"type": "input", "shape": [1, 4, 4], "neuron": SDNN | {"vThMant": 1}, "weight": 8, "bias": 2},
        {"type": "conv", "shape": [3, 3, 3], "neuron": SDNN, "weight": kernel, "stride": [1, 1], "padding": [0, 0],
         "dilation": [1, 1], "groups": 1},
        {"type": "flatten", "shape": [27]},
        {"type": "dense", "shape": [6], "neuron": SDNN | {"vThMant": 5}, "weight": middle, "bias": bias},
        {"type": "dense", "shape": [3], "neuron": SDNN | {"sigma_output": 1}, "weight": last},
    ]  # fmt: skip
    x = rng.integers(0, 3, (STEPS, 16)) * (rng.random((STEPS, 1)) < 0.4)
    for t in range(1, STEPS):
        x[t] = np.where(x[t].any(), x[t], x[t - 1])
    changes = np.diff(x, axis=0, prepend=0).astype(np.int32)
    made = bimhw.compile(write(tmp_path / "n.net", layers), "loihi2", calibration=changes[None])
    chip = bimhw.run(made.program, SpikeTrain.from_dense(changes), STEPS, probes=[("dense4", "sigma")])
    models = [_SigmaDelta(n, v, b) for n, v, b in ((16, 1, 0), (27, 3, 0), (6, 5, bias))]
    first = made.program.first_ids()
    outs = [[np.zeros(n, np.int64)] for n in (16, 27, 6)]  # the input takes a step
    sums, sigma = np.zeros(3, np.int64), [np.zeros(3, np.int64)]
    turned = torch.tensor(kernel[:, :, ::-1, ::-1, 0].copy(), dtype=torch.float64)
    for t in range(STEPS - 1):
        before = [rows[-1] for rows in outs]
        image = torch.tensor(before[0].reshape(1, 1, 4, 4), dtype=torch.float64)
        conv = np.asarray(torch.nn.functional.conv2d(image, turned).reshape(-1), np.float64).astype(np.int64)
        outs[0].append(models[0].send(2 * 8 * x[t] - 8 + 2 << 12))
        outs[1].append(models[1].step(conv))
        outs[2].append(models[2].step(middle @ before[1]))
        sums = sums + last @ before[2]
        sigma.append(sums)
    for name, rows in zip(("input_neurons", "conv1", "dense3"), outs, strict=True):
        np.testing.assert_array_equal(chip.spikes.to_dense(first[name], len(rows[0])), np.stack(rows), err_msg=name)
    np.testing.assert_array_equal(chip.probes["dense4", "sigma"], np.stack(sigma))
    assert np.count_nonzero(np.stack(sigma)[-1]) and made.program.facts.entry.once
