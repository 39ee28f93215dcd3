"""Modules with several inputs and results, and modules whose layers bear the names of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import bimhw
from bimhw.frontends.frameworks.module import read_module
from simulator.base.errors import InputError
from tests.bimhw.frontends.test_frameworks import LIFNode, NonSpikingLIFNode, _spikes

T, B = 8, 3


class TwoIn(nn.Module):
    """Two inputs into one layer, one of them possibly still."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.left, self.right, self.how = nn.Linear(4, 5), nn.Linear(3, 5), how
        self.n = LIFNode(1.5, step_mode="m" if how == "at once" else "s")

    def forward(self, sound: torch.Tensor, sight: torch.Tensor) -> torch.Tensor:
        if self.how in ("at once", "step"):
            return self.n(3 * (self.left(sound) + self.right(sight)))
        still = self.how == "still"
        rows = [self.n(3 * (self.left(sound[t]) + self.right(sight if still else sight[t]))) for t in range(len(sound))]
        return torch.stack(rows)


@pytest.mark.parametrize("how", ["at once", "step", "loop", "still"])
def test_several_inputs_keep_the_names_of_the_forward(how: str) -> None:
    torch.manual_seed(1)
    sound, sight = _spikes(T, B, 4), _spikes(*((B,) if how == "still" else (T, B)), 3)
    reads = [read_module(TwoIn(how), s) for s in ((sound, sight), {"sound": sound, "sight": sight})]
    assert all(r.differ == 0 and r.wanted.any() and r.wanted.shape == (B, T, 5) for r in reads)
    assert [p.name for p in reads[0].network.populations if p.role == "input"] == ["sound", "sight"]
    assert reads[0].x.shape == (B, T, 7)


def test_inputs_that_do_not_fit_the_forward_are_named() -> None:
    sound, sight = _spikes(T, B, 4), _spikes(T, B, 3)
    with pytest.raises(InputError, match="names 'smell'; the forward takes sound, sight"):
        read_module(TwoIn("loop"), {"sound": sound, "smell": sight})
    with pytest.raises(InputError, match="not taken by the module"):
        read_module(TwoIn("loop"), (sound, sight, sight))
    with pytest.raises(InputError, match=r"inputs of \[7, 8\] steps"):
        read_module(TwoIn("step"), (sound, sight[1:]))


class Heads(nn.Module):
    """A trunk with a head that spikes, one that shows its membrane, and the trunk's spikes beside them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.fc, self.trunk = nn.Linear(6, 8), LIFNode(1.5, step_mode="m")
        self.a, self.spikes = nn.Linear(8, 3), LIFNode(1.5, step_mode="m")
        self.b, self.level, self.how = nn.Linear(8, 2), NonSpikingLIFNode(), how

    def forward(self, x: torch.Tensor) -> Any:
        z = self.trunk(4 * self.fc(x))
        first, second = self.spikes(4 * self.a(z)), self.level(self.b(z))
        if self.how == "dict":
            return {"digit": first.sum(0), "level": second, "trunk": z}
        return (first, second[-1], z.mean()) if self.how == "tuple" else (first, [z, second])


@pytest.mark.parametrize("how", ["dict", "tuple", "states"])
def test_heads_are_outputs_and_layers_inside_are_not(how: str) -> None:
    torch.manual_seed(2)
    read = read_module(Heads(how), _spikes(T, B, 6))
    assert read.differ == 0 and all(wanted.any() for wanted, _ in read.outputs.values())
    names = {"dict": ["digit", "level"], "tuple": ["output0", "output1"], "states": ["output"]}[how]
    assert list(read.outputs) == names
    assert ("inside the network, which are not read: trunk" in " ".join(read.network.meta["notes"])) is (how == "dict")


def test_data_judges_each_result_of_a_module_by_its_name(tmp_path: Path) -> None:
    torch.manual_seed(3)
    module, x = Heads("dict"), _spikes(T, B, 6)
    own = read_module(module, x)
    digits, levels = (own.outputs[n][0] for n in ("digit", "level"))
    program = bimhw.compile(module, "loihi2", sample=x).program
    data = bimhw.Dataset(
        x.numpy(), digits.argmax(axis=1), layout="tb", targets={"level": levels[:, -1], "digit": digits.argmax(axis=1)}
    )
    run = bimhw.simulate(program, data=data, output=tmp_path / "run", engine="none")
    outputs = run.result["outputs"]
    assert run.result["accuracy"] == outputs["digit"]["accuracy"] >= 2 / 3  # a label without a name judges the first
    assert np.asarray(run.result["confusion"]).shape == (3, 3)
    assert outputs["level"]["relative_rms_error"] < 0.1
    assert run.outputs["values"].shape == (B, T, 3) and run.outputs["values.level"].shape == (B, T, 2)


class Named(nn.Module):
    """Layers that are called what nodes are called by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.scale = nn.Linear(6, 8), LIFNode(1.5)
        self.flatten, self.output = nn.Linear(8, 4), LIFNode(1.5, None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(3 * self.flatten(2 * self.scale(3 * self.input(x))))


def test_layers_may_bear_the_names_of_nodes() -> None:
    torch.manual_seed(4)
    read = read_module(Named(), _spikes(T, B, 6))
    assert read.differ == 0 and read.wanted.any()
    assert len(read.network.projections) == 2


def _rates(out: npt.NDArray[np.float64], folder: Path) -> float:
    """Return the mean difference of the spikes a neuron sends, chip and float, over what it sends."""
    chip = np.load(folder / "outputs.npz")["values"]
    return float(np.abs(chip.sum(axis=1) - out.sum(axis=1)).mean() / out.sum(axis=1).mean())


@pytest.mark.parametrize("way", ["module", "data"])
def test_each_input_has_its_own_scale(tmp_path: Path, way: str) -> None:
    torch.manual_seed(1)
    net = TwoIn("at once")
    with torch.no_grad():
        net.right.weight /= 60  # an input of 0..100 beside one of 0..1
    sound, sight = torch.rand(20, 16, 4), torch.rand(20, 16, 3) * 100
    data = bimhw.Dataset(sound.numpy(), inputs={"sound": sound.numpy(), "sight": sight.numpy()}, layout="tb")
    sample = (sound, sight) if way == "module" else (sound > 0.5, sight > 50)  # binary ones tell no scale
    compiled = bimhw.compile(net, "loihi2", sample=sample, data=None if way == "module" else data)
    entry = compiled.program.facts.entry
    assert entry.scale_of("sound") <= 2.0**-6 and entry.scale_of("sight") == 1.0
    bimhw.simulate(compiled.program, data=data, output=tmp_path / "run", engine="none")
    with torch.no_grad():
        wanted = TwoIn("at once")
        wanted.load_state_dict(net.state_dict())
        out = wanted(sound, sight).numpy().swapaxes(0, 1)
    assert _rates(out, tmp_path / "run") < 0.05
