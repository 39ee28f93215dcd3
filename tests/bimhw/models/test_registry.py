"""A family of models is one registered value: every command then takes its networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bimhw
import bimhw.nn as bnn
from bimhw.cli.commands.train import command
from bimhw.models import registry
from bimhw.models.io import load_model, save_model
from simulator.base.errors import InputError
from tests.bimhw.learning.test_registries import load

FAMILY = '''
"""LIF networks: Linear, LIF, and a filtered linear readout."""
from typing import Literal, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

import bimhw.nn as bnn
from bimhw.frontends.nn import nn_network
from bimhw.models.nets import Net
from bimhw.models.registry import ModelFamily, by_shapes, load_arrays_into, register
from bimhw.models.training import Preset, Training


class LifConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    family: Literal["lif"] = "lif"
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    keep: float = 0.75
    input_scale: float = 1.0

    @property
    def n_layers(self) -> int:
        return 1


class LifInit(msgspec.Struct, frozen=True, kw_only=True):
    gain: float = 2.0


class LifRun(NamedTuple):
    logits: Tensor
    spikes: tuple[Tensor, ...]


class LifNet(Net):
    def __init__(self, config, seed, init):
        super().__init__()
        self.config = config
        (h,) = config.hidden
        self.first, self.readout = nn.Linear(config.n_in, h), nn.Linear(h, config.n_out)
        torch.manual_seed(seed)
        with torch.no_grad():
            self.first.weight.normal_(0, init.gain / config.n_in**0.5)
            self.readout.weight.normal_(0, 1 / h**0.5)

    def layers(self):
        return nn.Sequential(self.first, bnn.LIF(self.config.keep), bnn.Filter(0.9), self.readout)

    def run_samples(self, x, first=0, seed=0):
        layers = self.layers()
        spikes = layers[:2](x)
        return LifRun(layers[2:](spikes), (spikes,))


def build(config, seed, init):
    return LifNet(config, seed, init or LifInit())


def network(config, arrays):
    net = build(config, 0, None)
    load_arrays_into(net, arrays)
    return nn_network(net.layers(), None, config.input_scale)


def shapes(config):
    (h,) = config.hidden
    ends = {"first.weight": (h, config.n_in), "first.bias": (h,)}
    return ends | {"readout.weight": (config.n_out, h), "readout.bias": (config.n_out,)}


PRESET = Preset(config={"hidden": (24,)}, settings={"rule": "bptt", "epochs": 4, "batch": 16, "lr": 0.03})
HOW = Training(LifInit, {"short": PRESET}, lambda task: "short", lambda net, seed: net.run_samples, rules=("bptt",))
register(ModelFamily("lif", "LIF networks", LifConfig, network, build, by_shapes(shapes), training=lambda: HOW))
'''


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Register a family from a temporary module; forget it after the test."""
    registry.families()  # the built-in ones are there
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    return load(FAMILY, tmp_path / "lif_family.py")


def test_a_contributed_family_goes_the_whole_way(family: Any, tmp_path: Path) -> None:
    trained = bimhw.train("digits", tmp_path / "m.safetensors", family="lif", seed=1)
    assert trained.final.accuracy > 0.5  # chance: 0.1
    loaded = load_model(tmp_path / "m.safetensors")
    assert type(loaded).__name__ == "LifNet" and loaded.config == trained.model.config
    for name, value in trained.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    compiled = bimhw.compile(tmp_path / "m.safetensors", "loihi2", task="digits")
    in_memory = bimhw.compile(trained.model, "loihi2", task="digits").program
    for ours, theirs in zip(compiled.program.projections, in_memory.projections, strict=True):
        np.testing.assert_array_equal(ours.weights, theirs.weights)
    run = bimhw.simulate(
        compiled.program, "digits", samples=60, model=tmp_path / "m.safetensors", output=tmp_path / "r"
    )
    assert run.result["float_accuracy"] > 0.5
    assert run.result["decisions_agree"] > 0.8
    assert bimhw.energy(run.folder).compare()


def test_it_is_named_where_it_is_not_known(family: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rule 'rtrl': does not train the family lif, which is trained by bptt"):
        bimhw.train("digits", family="lif", rule="rtrl", epochs=1)
    with pytest.raises(InputError, match="has no masks"):
        bimhw.train("digits", family="lif", prune=0.5, epochs=1)
    with pytest.raises(InputError, match="is for BIM networks, and this one is of the family 'lif'"):
        bimhw.finetune(save_model(small(family), tmp_path / "m.pt"), "digits")
    config = family.LifConfig(n_in=2, hidden=(3,), n_out=2)
    with pytest.raises(InputError, match=r"lacks first\.bias, readout\.bias"):
        registry.family_of(config).check(config, {"first.weight": np.zeros((3, 2), np.float32)}, "m")


def small(family: Any) -> Any:
    return family.build(family.LifConfig(n_in=16, hidden=(4,), n_out=10, input_scale=1 / 16), 0, None)


def test_an_unknown_family_is_refused_with_the_known() -> None:
    with pytest.raises(
        InputError, match=r"unknown family 'liquid'.*bim, event, leaky, meta, p-spikessm, p-spikessm-s4, stack"
    ):
        registry.config_from({"family": "liquid"}, "m.pt")
    done = CliRunner().invoke(command, ["digits", "--family", "liquid"])
    assert "Families: bim, event, leaky, meta, p-spikessm" in str(done.exception)
    with pytest.raises(InputError, match="belongs to no family"):
        registry.family_of(object())


def test_a_stack_is_loaded_by_the_one_door(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), bnn.LIF(0.5), torch.nn.Linear(4, 2), bnn.LI(0.9))
    path = bnn.save(net, tmp_path / "s.pt")
    loaded = bimhw.load_model(path)
    assert isinstance(loaded[1], bnn.LIF)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), loaded.parameters(), strict=True))
    with pytest.raises(InputError, match="has no run on a task in torch"):
        from bimhw.models.io import load_net

        load_net(path)
