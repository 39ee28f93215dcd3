"""A stack saved by `bimhw.nn.save` is the same network after loading, and as a file on the command line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import bimhw
import bimhw.nn as bnn
from bimhw.models.spikessm.net import PSpikeNet
from bimhw.models.stack import LIF as StepLIF
from bimhw.models.stack import Recurrent
from bimhw.models.stack_config import LayerSpec, StackConfig
from bimhw.models.stack_files import build_stack, stack_config
from simulator.base.errors import FitError, InputError


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "bim": nn.Sequential(bnn.BIM(5, 8, psp="delta"), bnn.BIM(8, 6, output="filtered"), nn.Linear(6, 3)),
        "mixed": nn.Sequential(
            nn.Linear(5, 8), bnn.CubaLIF(0.5, torch.rand(8)), bnn.BIM(8, 6), nn.Linear(6, 4, bias=False), bnn.LI(0.8)
        ),
        "nested": nn.Sequential(nn.Sequential(bnn.BIM(5, 8, kind="s6", n_states=2)), bnn.Filter(0.7), nn.Linear(8, 2)),
    }


def test_p_spikessm_is_the_network_of_its_family(tmp_path: Path) -> None:
    """A stack with `PSpikeSSM` computes what `PSpikeNet` does with the chip's draws, before and after saving, and compiles."""
    torch.manual_seed(0)
    core = bnn.PSpikeSSM(5, 8, layers=2, n_states=3, clamp=0.75)
    net = nn.Sequential(core, bnn.Filter(0.8), nn.Linear(8, 3)).eval()
    whole = PSpikeNet(msgspec.structs.replace(core.config, n_out=3, k_o=0.8))
    whole.load_state_dict({**core.state_dict(), **{f"readout.{k}": v for k, v in net[2].state_dict().items()}})
    x = (torch.rand(12, 2, 5) < 0.4).float()
    torch.testing.assert_close(net(x), whole(x), rtol=1e-5, atol=1e-6)
    path = bnn.save(net, tmp_path / "net.pt")
    torch.testing.assert_close(bnn.load(path).eval()(x), net(x), rtol=0, atol=0)
    assert str(bimhw.load_network(path)) == str(bimhw.load_network(whole)) == str(bimhw.load_network(net))
    assert not torch.equal(net.train()(x), net(x))  # each pass draws anew
    for wrong in (core, nn.Sequential(core, nn.Linear(7, 3)), nn.Sequential(nn.Linear(5, 5), core, nn.Linear(8, 3))):
        with pytest.raises(FitError, match="PSpikeSSM"):
            bimhw.load_network(wrong)
    with pytest.raises(InputError, match="shape"):
        core(x[0])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", nets())
def test_saved_and_loaded(name: str, suffix: str, tmp_path: Path) -> None:
    net = nets()[name]
    path = bnn.save(net, tmp_path / f"net{suffix}")
    x = (torch.rand(12, 2, 5) < 0.4).float()
    torch.testing.assert_close(bnn.load(path)(x), net(x), rtol=0, atol=0)
    a, b = bimhw.load_network(path), bimhw.load_network(net)
    assert [(p.model, p.size) for p in a.populations] == [(p.model, p.size) for p in b.populations]
    for p, q in zip(a.projections, b.projections, strict=True):
        np.testing.assert_array_equal(p.weights, q.weights)
    assert bimhw.compile(path, chip="loihi2").report["neurons"] > 0


def numbers(net: object) -> list[object]:
    """Return every number of a float network, whatever its layers are called."""
    found = bimhw.load_network(net)
    params = [{k: np.asarray(v).tolist() for k, v in p.params.items()} for p in found.populations]
    return [*params, *((q.indices.tolist(), q.weights.tolist()) for q in found.projections)]


def in_parallel(net: nn.Module) -> nn.Module:
    return nn.DataParallel(net)


@pytest.mark.parametrize("wrap", [lambda net: torch.compile(net, backend="eager"), AveragedModel, in_parallel])
@pytest.mark.parametrize("name", nets())
def test_bfloat16_weights_and_wrapped_modules_are_read(
    name: str, wrap: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    """The numbers are those of the same weights in float32; of a wrapper the module inside counts."""
    half = nets()[name].bfloat16()
    plain = copy.deepcopy(half).float()
    expected = numbers(plain)
    assert numbers(half) == numbers(wrap(half)) == expected
    assert numbers(nn.Sequential(wrap(half[:-1]), half[-1])) == expected
    path = bnn.save(wrap(half), tmp_path / "net.safetensors")
    assert numbers(path) == numbers(bnn.save(plain, tmp_path / "plain.safetensors")) == expected


def test_equal_nets_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (bnn.save(nets()["bim"], tmp_path / n).read_bytes() for n in ("a.pt", "b.pt"))
    assert first == second


def test_other_files_and_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layer 1 \(GRU\)"):
        bnn.save(nn.Sequential(bnn.BIM(5, 8), nn.GRU(8, 8)), tmp_path / "x.pt")
    with pytest.raises(InputError, match="no stack of layers"):
        bnn.load(Path(__file__).resolve().parents[3] / "examples" / "digits.safetensors")


def test_recurrent_steps_are_kept(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(5, 4), Recurrent(StepLIF(0.9), nn.Linear(4, 4)))
    path = bnn.save(net, tmp_path / "net.pt")
    a, b = bimhw.load_network(path), bimhw.load_network(net)
    assert str(a) == str(b)


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        (0, {"in_features": 2**40}),
        (0, {"in_features": 2**20, "out_features": 2**20}),
        (1, {"shapes": {"keep": [2**34], "theta": [], "keep_u": []}}),
        (1, {"shapes": {"keep": [], "theta": [2**20, 2**20], "keep_u": None}}),
        (2, {"hidden": 2**31}),
    ],
)
def test_a_config_of_sizes_that_no_array_has_takes_no_memory(layer: int, change: dict[str, object]) -> None:
    net = nn.Sequential(nn.Linear(3, 4), bnn.LIF(keep=0.5), bnn.BIM(4, 5))
    config = stack_config([*net], None, 1.0)
    arrays = {k: v.numpy() for k, v in net.state_dict().items()}
    build_stack(config, arrays, "mine.pt")
    forged = list(config.layers)
    forged[layer] = LayerSpec(forged[layer].kind, dict(forged[layer].options) | change)
    with pytest.raises(InputError, match=r"mine\.pt"):
        build_stack(StackConfig(layers=tuple(forged)), arrays, "mine.pt")
