"""Torch stacks to chip: the float engine equals torch, the program equals a plain integer model, the rest is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bimhw
from bimhw.compiler.decode import encode
from bimhw.frontends.stack import module_network
from bimhw.models.stack import IF, LI, LIF, CubaLIF, Neuron, Recurrent, Stack
from mapping.float_run import record
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.function import run_samples
from tests.bimhw.compiler.plain_integer import run_plain


def neuron(draw: st.DrawFn) -> Neuron:
    kind = draw(st.sampled_from([IF, LIF, CubaLIF]))
    options: dict[str, Any] = {
        "theta": draw(st.sampled_from([0.5, 1.0])),
        "reset": draw(st.sampled_from(["hard", "soft"])),
        "cmp": draw(st.sampled_from([">", ">="])),
    }
    if options["reset"] == "hard":
        options["v_reset"] = draw(st.sampled_from([0.0, -0.25]))
    if kind is not IF:
        options["keep"] = draw(st.sampled_from([0.0, 0.5, 0.75, 0.875, 0.9]))
    if kind is CubaLIF:
        options["keep_u"] = draw(st.sampled_from([0.5, 0.75]))
    return kind(**options)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Stack, tuple[int, ...], int]:
    """Stacks of every supported layer, dyadic weights, float64."""
    kind = draw(st.sampled_from(["linear", "conv1d", "conv2d"]))
    layers: list[nn.Module] = []
    shape: tuple[int, ...] = {"linear": (7,), "conv1d": (4, 9), "conv2d": (2, 7, 6)}[kind]
    if kind == "linear":
        layers += [nn.Linear(7, 9, bias=draw(st.booleans())), neuron(draw)]
    else:
        groups, dilation = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2]))
        padding = draw(st.sampled_from([0, 1, "same"]))
        stride = 1 if padding == "same" else draw(st.sampled_from([1, 2]))
        conv = nn.Conv1d if kind == "conv1d" else nn.Conv2d
        bias = draw(st.booleans())
        layers.append(conv(shape[0], 4, 3, stride, padding, dilation, groups, bias))
        layers.append(neuron(draw))
        with torch.no_grad():
            after = Stack(*layers).double().run(torch.zeros(1, 1, *shape, dtype=torch.float64)).shape[1:]
        if kind == "conv2d" and min(after[2:]) > 1 and draw(st.booleans()):
            layers.append(nn.AvgPool2d(2, stride=1, padding=draw(st.sampled_from([0, 1]))))
        layers.append(nn.Flatten())
    with torch.no_grad():
        flat = Stack(*layers).double().run(torch.zeros(1, 1, *shape, dtype=torch.float64)).shape[2]
    second: nn.Module = neuron(draw)
    if draw(st.booleans()):
        second = Recurrent(neuron(draw), nn.Linear(6, 6, bias=draw(st.booleans())))
    layers += [nn.Linear(flat, 6), second, nn.Dropout(0.5)]
    layers += draw(st.sampled_from([[], [nn.Linear(6, 3)], [nn.Linear(6, 3), LI(keep=0.75)], [nn.Linear(6, 3), IF()]]))
    net = Stack(*layers, input_shape=shape).double().eval()
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.from_numpy(rng.integers(-24, 25, p.shape) / 32))
    return net, shape, seed


def spikes_of(net: Stack, x: torch.Tensor) -> dict[str, Any]:
    """Output and membrane of every neuron at every step [T, B, n], by the names of the float network."""
    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def watch(name: str, module: Neuron) -> None:
        def hook(module: Any, args: Any, out: torch.Tensor) -> None:
            seen.setdefault(name, []).append((out.flatten(1), module.v.flatten(1)))

        handles.append(module.register_forward_hook(hook))

    handles: list[Any] = []
    for name, module in net.named_modules():
        if isinstance(module, Neuron):
            watch(name.removesuffix(".neuron"), module)
    with torch.no_grad():
        net.run(x)
    for handle in handles:
        handle.remove()
    return {n: tuple(torch.stack(v).numpy() for v in zip(*rows, strict=True)) for n, rows in seen.items()}


@settings(deadline=None, max_examples=100)
@given(stacks())
def test_the_float_engine_equals_torch_on_chip_time(case: tuple[Stack, tuple[int, ...], int]) -> None:
    net, shape, seed = case
    x = (np.random.default_rng(seed).random((14, 2, *shape)) < 0.4).astype(np.float64)
    network = module_network(net)
    wanted = spikes_of(net, torch.from_numpy(x))
    deepest = max(p.layer for p in network.populations)
    probes = [(name, what) for name in wanted for what in ("out", "v")]
    shown = record(network, {"input": x.transpose(1, 0, *range(2, x.ndim)).reshape(2, 14, -1)}, 14 + deepest, probes)
    for name, (spikes, membranes) in wanted.items():
        layer = network.population(name).layer
        span = slice(layer, layer + 14)
        np.testing.assert_array_equal(shown[name, "out"][:, span].transpose(1, 0, 2).round(9), spikes.round(9))
        np.testing.assert_allclose(shown[name, "v"][:, span].transpose(1, 0, 2), membranes, atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(stacks())
def test_the_program_equals_a_plain_integer_model(case: tuple[Stack, tuple[int, ...], int]) -> None:
    net, shape, seed = case
    width = int(np.prod(shape))
    payloads = (np.random.default_rng(seed).random((2, 12, width)) < 0.4).astype(np.int32)
    chip = load_chip("loihi2")
    program = bimhw.compile(net, chip, calibration=payloads, mapping="blocks").program
    steps = program.meta["chip_steps"]
    runs = run_samples(program, [encode(program, s) for s in payloads], steps, topology=chip.topology)
    out, _, saturated = run_plain(program, payloads, steps)
    for p in program.populations:
        for sample, train in enumerate(runs.spikes):
            got = train.to_dense(program.first_ids()[p.name], p.size)
            np.testing.assert_array_equal(got, out[p.name][sample], err_msg=p.name)
    assert runs.activity.total("saturations") == saturated


def test_a_stack_trains_through_its_surrogate() -> None:
    torch.manual_seed(0)
    net = Stack(nn.Linear(4, 8), LIF(keep=0.75), nn.Linear(8, 2), LI(keep=0.9))
    x = (torch.rand(20, 32, 4) < 0.5).float()
    y = (x[:, :, 0].sum(0) > x[:, :, 1].sum(0)).long()
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(net.run(x)[-1], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.MaxPool2d(2), "layer '0'.*MaxPool2d.*no form on a chip"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "layer '0'.*circular"),
        (nn.AvgPool2d(2, padding=1, count_include_pad=False), "layer '0'.*different sizes"),
        (nn.ReLU(), "layer '0'.*ReLU"),
    ],
)
def test_other_layers_are_refused_by_name(layer: nn.Module, message: str) -> None:
    with pytest.raises(FitError, match=message):
        module_network(Stack(layer, nn.Flatten(), LIF(), input_shape=(2, 8, 8)))


def test_other_modules_and_missing_shapes_are_refused() -> None:
    with pytest.raises(FitError, match="not a sequence of layers"):
        bimhw.compile(nn.Bilinear(2, 2, 2))
    with pytest.raises(InputError, match="does not tell the shape of its input"):
        bimhw.compile(Stack(nn.Conv2d(1, 1, 3), IF()))
    with pytest.raises(InputError, match="arrives"):
        bimhw.compile(Stack(nn.Conv2d(1, 1, 3), IF()), input_shape=(2, 8, 8))
    with pytest.raises(InputError, match=r"keep.*is 1\.5"):
        LIF(keep=1.5)
    with pytest.raises(InputError, match=r"option profile.*\.nir files only"):
        bimhw.load_network(Stack(nn.Linear(2, 2), IF()), profile="sinabs")
