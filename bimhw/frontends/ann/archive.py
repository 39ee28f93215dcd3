"""Archives of `torch.export` (.pt2) that hold a ReLU network, read without running code.

An archive is a zip file: ``models/model.json`` names the functions in order, ``data/weights`` holds each tensor as raw bytes
beside a list of shapes. Both are read here and nothing is unpickled. The functions become layers of torch.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simulator.base.errors import FitError, InputError
from simulator.base.host_memory import check_memory
from simulator.base.reading import boundary, check_is_file, parse_json

Json = Any  # of the archive
MOST_JSON = 2**26  # bytes of a list of functions
_DTYPES: Mapping[int, np.dtype[Json]] = {
    5: np.dtype("<i8"),
    6: np.dtype("<f2"),
    7: np.dtype("<f4"),
    8: np.dtype("<f8"),
}  # of the archive's numbers
_WAY = "Export it again: torch.export.save(torch.export.export(module, (x,)), path)"
Values = Mapping[str, Json]  # of a call: a number, a list, or the tensor of a weight


def read_archive(path: Path | str) -> nn.Module:
    """Return the network of an archive as a module of torch layers.

    Raises:
        InputError: no such file, or no whole archive.
        FitError: a function that has no spiking form here, by its name.
    """
    file = Path(path)
    check_is_file(file)
    with boundary(file, "an archive of torch.export", _WAY), zipfile.ZipFile(file) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise InputError(str(file), "is compressed, which torch.export does not do", _WAY)
        graph = _json(archive, "models/model.json", file)["graph_module"]
        weights = _weights(archive, file)
        return _Archive(graph, weights, str(file)).eval()


def _member(archive: zipfile.ZipFile, end: str, file: Path) -> zipfile.ZipInfo:
    found = [part for part in archive.infolist() if part.filename.partition("/")[2] == end]
    if len(found) != 1:
        raise InputError(str(file), f"holds {len(found)} parts {end!r}, needs one", _WAY)
    return found[0]


def _json(archive: zipfile.ZipFile, end: str, file: Path) -> Json:
    part = _member(archive, end, file)
    if part.file_size > MOST_JSON:
        raise InputError(str(file), f"has {part.file_size:,} bytes in {end!r}, {MOST_JSON:,} at most", _WAY)
    return parse_json(archive.read(part), f"{file}: {end}", _WAY)


def _weights(archive: zipfile.ZipFile, file: Path) -> dict[str, Tensor]:
    found = {}
    for name, entry in _json(archive, "data/weights/model_weights_config.json", file)["config"].items():
        meta, where = entry["tensor_meta"], f"{file}: {name}"
        shape = tuple(int(size["as_int"]) for size in meta["sizes"])
        strides = tuple(int(size["as_int"]) for size in meta["strides"])
        dtype = _DTYPES.get(meta["dtype"])
        part = _member(archive, f"data/weights/{entry['path_name']}", file)
        size = int(np.prod(shape, dtype=np.int64))
        plain = torch.empty(shape, device="meta").stride() == strides and meta["storage_offset"]["as_int"] == 0
        if entry["use_pickle"] or dtype is None or not plain or part.file_size < size * dtype.itemsize:
            raise InputError(where, "is no plain array of whole or real numbers", _WAY)
        check_memory(size * 8, where, "its values", "Export a smaller network")
        values = np.frombuffer(archive.read(part), dtype, size).reshape(shape)
        found[name] = torch.from_numpy(values.astype(np.int64 if dtype.kind == "i" else np.float64))
    return found


class _Archive(nn.Module):
    """The functions of an archive, in order; those with options or weights are layers."""

    def __init__(self, graph: Json, weights: Mapping[str, Tensor], where: str) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self.calls: list[tuple[str, tuple[str, ...]]] = []  # result, and the results that it takes
        held: dict[str, Tensor] = {}
        given: list[str] = []
        for spec in graph["signature"]["input_specs"]:
            ((kind, entry),) = spec.items()
            if kind == "user_input":
                given.append(entry["arg"]["as_tensor"]["name"])
            else:
                held[entry["arg"]["name"]] = weights[entry[f"{kind}_name"]]
        answers = graph["signature"]["output_specs"]
        if len(given) != 1 or len(answers) != 1:
            raise InputError(where, f"has {len(given)} inputs and {len(answers)} results, needs one of each", _WAY)
        self.given, self.answer = given[0], answers[0]["user_output"]["arg"]["as_tensor"]["name"]
        for node in graph["graph"]["nodes"]:
            self._add(node, held, where)

    def _add(self, node: Json, held: Mapping[str, Tensor], where: str) -> None:
        name = node["outputs"][0]["as_tensor"]["name"]
        target = node["target"].removeprefix("torch.ops.aten.").rpartition(".")[0]
        make = _LAYERS.get(target)
        if make is None:
            known = ", ".join(sorted(_LAYERS))
            raise FitError(f"{where}: function {node['target']}", "has no spiking form here", f"Known: {known}")
        sources, values = [], {}
        for one in node["inputs"]:
            ((kind, value),) = one["arg"].items()
            if kind == "as_tensor" and value["name"] not in held:
                sources.append(value["name"])
            elif kind == "as_tensors":
                sources += [v["name"] for v in value]
            elif kind != "as_none":
                values[one["name"]] = held[value["name"]] if kind == "as_tensor" else value
        self.layers[name] = make(values)
        self.calls.append((name, tuple(sources)))

    def forward(self, x: Tensor) -> Tensor:
        values = {self.given: x}
        for name, sources in self.calls:
            values[name] = self.layers[name](*(values[s] for s in sources))
        return values[self.answer]


class _Sum(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class _Function(nn.Module):
    """A function of the values that arrive."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(*values)


class _Reshape(nn.Module):
    """A view whose first size is the batch, whatever it was in the export."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes[1:])

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.sizes)


def _filled(layer: nn.Module, values: Values) -> nn.Module:
    """Return a layer in float64 with the weights and buffers of a call."""
    layer.double()
    own = dict(layer.named_parameters()) | dict(layer.named_buffers())
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            if name in values:
                own[name].copy_(values[name])
    return layer


def _linear(v: Values) -> nn.Module:
    outputs, inputs = v["weight"].shape
    return _filled(nn.Linear(inputs, outputs, bias="bias" in v), v)


def _conv(kind: Callable[..., nn.Module]) -> Callable[[Values], nn.Module]:
    def make(v: Values) -> nn.Module:
        outputs, inputs, *kernel = v["weight"].shape
        groups = int(v.get("groups", 1))
        options = {
            k: v[k] if isinstance(v[k], str) else tuple(v[k]) for k in ("stride", "padding", "dilation") if k in v
        }
        return _filled(kind(inputs * groups, outputs, tuple(kernel), groups=groups, bias="bias" in v, **options), v)

    return make


def _transposed(v: Values) -> nn.Module:
    inputs, outputs, *kernel = v["weight"].shape
    groups = int(v.get("groups", 1))
    options = {k: tuple(v[k]) for k in ("stride", "padding", "output_padding", "dilation") if k in v}
    make: Callable[..., nn.Module] = nn.ConvTranspose2d
    return _filled(make(inputs, outputs * groups, tuple(kernel), groups=groups, bias="bias" in v, **options), v)


def _prelu(v: Values) -> nn.Module:
    return _filled(nn.PReLU(v["weight"].numel()), v)


def _mean(v: Values) -> nn.Module:
    dims, keep = tuple(v["dim"]), bool(v.get("keepdim"))
    return _Function(lambda x: x.mean(dims, keep))


def _cat(v: Values) -> nn.Module:
    dim = int(v.get("dim", 0))
    return _Function(lambda *values: torch.cat(values, dim))


def _pad(v: Values) -> nn.Module:
    sizes, mode, value = list(v["pad"]), str(v.get("mode", "constant")), float(v.get("value") or 0.0)
    return _Function(lambda x: nn.functional.pad(x, sizes, mode, value if mode == "constant" else None))


def _upsample(mode: str) -> Callable[[Values], nn.Module]:
    def make(v: Values) -> nn.Module:
        how: dict[str, Json] = {"mode": mode, "align_corners": bool(v["align_corners"]) if mode == "bilinear" else None}
        size = tuple(v["output_size"]) if v.get("output_size") else None
        return nn.Upsample(size=size, scale_factor=None if size else tuple(v["scale_factors"]), **how)

    return make


def _norm(v: Values) -> nn.Module:
    if v.get("training") or "running_mean" not in v:
        raise FitError("function batch_norm", "normalises by the batch at hand", "Export the module in eval()")
    kind = _Norm(v["running_mean"].numel(), eps=float(v["eps"]), affine="weight" in v)
    return _filled(kind, v)


class _Norm(nn.BatchNorm2d):
    """A normalisation of channels of any dimension."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any."""


def _pool(kind: Callable[..., nn.Module], *names: str) -> Callable[[Values], nn.Module]:
    def make(v: Values) -> nn.Module:
        return kind(**{k: tuple(v[k]) if isinstance(v[k], list) else v[k] for k in names if k in v and v[k] != []})

    return make


def _activation(kind: Callable[..., nn.Module], *names: str) -> Callable[[Values], nn.Module]:
    return lambda v: kind(**{k: float(v[k]) for k in names if k in v})


_POOL = ("kernel_size", "stride", "padding", "ceil_mode")
_LAYERS: dict[str, Callable[[Values], nn.Module]] = {
    "linear": _linear,
    "conv1d": _conv(nn.Conv1d),
    "conv2d": _conv(nn.Conv2d),
    "batch_norm": _norm,
    "relu": lambda v: nn.ReLU(),
    "relu_": lambda v: nn.ReLU(),
    "hardtanh": _activation(nn.Hardtanh, "min_val", "max_val"),
    "hardtanh_": _activation(nn.Hardtanh, "min_val", "max_val"),
    "relu6": _activation(nn.ReLU6),
    "leaky_relu": _activation(nn.LeakyReLU, "negative_slope"),
    "leaky_relu_": _activation(nn.LeakyReLU, "negative_slope"),
    "hardsigmoid": _activation(nn.Hardsigmoid),
    "max_pool2d": _pool(nn.MaxPool2d, *_POOL, "dilation"),
    "avg_pool2d": _pool(nn.AvgPool2d, *_POOL, "count_include_pad", "divisor_override"),
    "adaptive_avg_pool2d": _pool(nn.AdaptiveAvgPool2d, "output_size"),
    "flatten": lambda v: nn.Flatten(int(v.get("start_dim", 0)), int(v.get("end_dim", -1))),
    "view": lambda v: _Reshape(v["size"]),
    "reshape": lambda v: _Reshape(v["shape"]),
    "dropout": lambda v: nn.Identity(),
    "contiguous": lambda v: nn.Identity(),
    "clone": lambda v: nn.Identity(),
    "add": lambda v: _Sum(),
    "prelu": _prelu,
    "conv_transpose2d": _transposed,
    "mean": _mean,
    "cat": _cat,
    "pad": _pad,
    "upsample_nearest2d": _upsample("nearest"),
    "upsample_bilinear2d": _upsample("bilinear"),
}
