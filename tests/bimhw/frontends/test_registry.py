"""A front end is one registered value; integer networks compile as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

import bimhw
from benchmarks.nets import write_net
from bimhw.frontends import registry
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.program.graph import Population, Projection


class ScaleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the test's front end."""

    factor: int = 1


def lif_net(weight: int) -> Network:
    params = {"dv": np.array(512), "vth": np.array(64), "strict": np.array(1)}
    populations = (Population("in", "input", 2, role="input"), Population("lif", "lif", 2, params, layer=1))
    row = np.array([0, 1, 2]), np.array([0, 1], np.int32), np.array([weight, 1], np.int8)
    return Network("integer", populations, (Projection("q", "in", "lif", "in", *row),))


def read(path: Path, options: ScaleOptions) -> Network:
    return lif_net(int(path.read_text()) * options.factor)


@pytest.fixture
def front_end() -> Iterator[None]:
    registry.register(registry.FrontEnd("test", ".lif files", ScaleOptions, read, suffixes=(".lif",)))
    yield
    registry._FRONT_ENDS.pop("test")


@pytest.mark.usefixtures("front_end")
def test_a_registered_front_end_is_read_by_every_command(tmp_path: Path) -> None:
    model = tmp_path / "x.lif"
    model.write_text("20")
    result = bimhw.compile(model, "loihi1-fitted", reading={"factor": 4})
    assert result.network.projections[0].weights.tolist() == [80, 1]
    assert result.program.meta["model_sha256"]
    assert bimhw.fit(model, "loihi1-fitted")["fits"]
    assert ".lif" in registry.suffixes()
    with pytest.raises(InputError, match=r"option profile: is for \.nir files only"):
        bimhw.load_network(model, profile="euler")
    with pytest.raises(InputError, match="Expected `int`"):
        bimhw.load_network(model, factor="much")


def test_integer_networks_compile_as_they_are() -> None:
    network = lif_net(100)
    data = np.array([[[1, 0], [0, 0], [1, 0]]], np.int32)
    result = bimhw.compile(network, "loihi1-fitted", calibration=data)
    assert result.rates["in"].tolist() == [0.5, 0.0]  # two spikes in three steps and the latency of one layer
    assert result.rates["lif"].tolist() == [0.5, 0.0]
    assert result.program.meta["sample_steps"] == 3
    train = bimhw.encode(result.program, data[0])
    assert bimhw.run(result.program, train, 4).spikes.ids.tolist() == [0, 2, 0, 2]


def test_made_up_inputs_are_said() -> None:
    assert any("made-up" in note for note in [bimhw.compile(lif_net(100), "loihi1-fitted").report["calibration"]])


def test_own_inputs_travel_with_the_program(tmp_path: Path) -> None:
    net = write_net(tmp_path / "net.npz", 120, (3, 9), 0.1, n_in=20, steps=25)
    network = bimhw.load_network(net)
    assert network.stage == "integer"
    assert network.inputs is not None
    for mapping in ("file", "auto"):
        program = bimhw.compile(net, "loihi1-fitted", mapping=mapping).program
        program.save(tmp_path / "x.bimhw")
        again = bimhw.Program.load(tmp_path / "x.bimhw")
        assert again.sha256() == program.sha256()
        assert again.inputs is not None
        assert again.inputs.ids.tolist() == network.inputs.ids.tolist()
        assert again.inputs.ptr.tolist() == network.inputs.ptr.tolist()


def test_unknown_models_are_refused() -> None:
    with pytest.raises(InputError, match=r"no spiking neurons"):
        bimhw.load_network("x.onnx")
    with pytest.raises(InputError, match="of type 'int'"):
        bimhw.load_network(3)
