"""Archives of torch.export: the module that is read gives the exported module's values, and nothing is run or unpickled."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bimhw.frontends.ann.archive import read_archive
from bimhw.frontends.ann.convert import convert
from simulator.base.errors import FitError, InputError


class Residual(nn.Module):
    """Convolutions with a skip, a norm, pools and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4)
        self.b, self.pool, self.out = nn.Conv2d(4, 4, 3, padding="same", groups=2), nn.MaxPool2d(2), nn.Linear(4, 3)
        self.first, self.second = nn.ReLU(), nn.ReLU(inplace=True)
        nn.init.normal_(self.norm.running_mean, 0, 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.first(self.norm(self.a(x)))
        b = self.second(self.b(a) + a)
        result: torch.Tensor = self.out(nn.functional.adaptive_avg_pool2d(self.pool(b), 1).view(x.shape[0], -1))
        return result


def _exported(module: nn.Module, x: torch.Tensor, path: Path) -> Path:
    torch.export.save(torch.export.export(module.eval(), (x,)), path)
    return path


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(1)
    module = Residual()
    return module, _exported(module, torch.rand(2, 2, 8, 8), tmp_path_factory.mktemp("pt2") / "net.pt2")


@pytest.mark.long  # torch.export takes seconds
def test_an_archive_gives_the_values_of_its_module(residual: tuple[nn.Module, Path]) -> None:
    module, path = residual
    x = torch.rand(5, 2, 8, 8, dtype=torch.float64)  # another batch than the export's
    with torch.no_grad():
        np.testing.assert_allclose(read_archive(path)(x), module.double()(x), atol=1e-12)
        module.float()


@pytest.mark.long  # torch.export takes seconds
def test_an_archive_is_converted_as_its_module_is(residual: tuple[nn.Module, Path]) -> None:
    module, path = residual
    x = np.random.default_rng(0).random((4, 2, 8, 8))
    own, read = convert(module, x, steps=8), convert(read_archive(path), x, steps=8)
    assert list(own.agreement.values()) == list(read.agreement.values())
    np.testing.assert_allclose(own.answers, read.answers, atol=1e-9)


class Joined(nn.Module):
    """What a network of today has beside layers: concat, pads, means, upsampling, transposed convolution, slopes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act = (
            nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
            nn.Conv2d(2, 2, 3),
            nn.PReLU(5),
        )
        self.pad, self.up = nn.ZeroPad2d(1), nn.Upsample(scale_factor=2)
        self.more, self.out = nn.ConvTranspose2d(5, 4, 2, 2), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(torch.cat([self.a(x), nn.functional.relu6(self.b(self.pad(x)))], 1))
        result: torch.Tensor = self.out(nn.functional.leaky_relu(self.more(self.up(y)), 0.2).mean((2, 3)))
        return result


@pytest.mark.long  # torch.export takes seconds
def test_an_archive_of_joined_and_resized_maps_is_read(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = Joined()
    path = _exported(module, torch.rand(2, 2, 4, 4), tmp_path / "joined.pt2")
    x = torch.rand(5, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(read_archive(path)(x), module.double()(x), atol=1e-12)


@pytest.mark.long  # torch.export takes seconds
def test_a_function_without_a_spiking_form_is_named(tmp_path: Path) -> None:
    path = _exported(nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1)), torch.rand(2, 3), tmp_path / "s.pt2")
    with pytest.raises(FitError, match=r"torch\.ops\.aten\.softmax\.int: has no spiking form here"):
        read_archive(path)


def _written(folder: Path) -> Path:
    """Write a Linear of [[1, 2, 3, 4]] and a ReLU as torch.export 2.13 writes them."""

    def tensor(name: str) -> dict[str, object]:
        return {"as_tensor": {"name": name}}

    def call(target: str, result: str, **inputs: object) -> dict[str, object]:
        given = [{"name": k, "arg": v, "kind": 1} for k, v in inputs.items()]
        return {"target": f"torch.ops.aten.{target}.default", "inputs": given, "outputs": [tensor(result)]}

    meta = {"dtype": 7, "sizes": [{"as_int": 1}, {"as_int": 4}], "strides": [{"as_int": 4}, {"as_int": 1}]}
    entry = {"path_name": "weight_0", "use_pickle": False, "tensor_meta": meta | {"storage_offset": {"as_int": 0}}}
    signature = {
        "input_specs": [
            {"parameter": {"arg": {"name": "p"}, "parameter_name": "0.weight"}},
            {"user_input": {"arg": tensor("x")}},
        ],
        "output_specs": [{"user_output": {"arg": tensor("relu")}}],
    }
    nodes = [
        call("linear", "linear", input=tensor("x"), weight=tensor("p")),
        call("relu", "relu", self=tensor("linear")),
    ]
    model = {"graph_module": {"graph": {"nodes": nodes}, "signature": signature}}
    path = folder / "small.pt2"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("n/models/model.json", json.dumps(model))
        out.writestr("n/data/weights/model_weights_config.json", json.dumps({"config": {"0.weight": entry}}))
        out.writestr("n/data/weights/weight_0", np.array([1, 2, 3, 4], "<f4").tobytes())
    return path


def test_a_small_archive_is_read_without_torch_export(tmp_path: Path) -> None:
    found = read_archive(_written(tmp_path))(torch.tensor([[1.0, 0, 0, 1], [0, -1, 0, 0]], dtype=torch.float64))
    assert found.tolist() == [[5.0], [0.0]]


def _changed(path: Path, target: Path, old: bytes, new: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", method) as out:
        for name in source.namelist():
            out.writestr(name, source.read(name).replace(old, new))
    return target


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"use_pickle": false', b'"use_pickle": true', "no plain array"),
        (b'"as_int": 4', b'"as_int": 4000', "no plain array"),
        (b"input_specs", b"other", "archive of torch.export"),
    ],
)
def test_a_damaged_archive_is_one_message(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_archive(_changed(_written(tmp_path), tmp_path / "bad.pt2", old, new))


def test_what_is_no_archive_is_one_message(tmp_path: Path) -> None:
    path = _written(tmp_path)
    (tmp_path / "cut.pt2").write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"archive of torch\.export"):
        read_archive(tmp_path / "cut.pt2")
    with pytest.raises(InputError, match="is compressed"):
        read_archive(_changed(path, tmp_path / "z.pt2", b"-", b"-", zipfile.ZIP_DEFLATED))
