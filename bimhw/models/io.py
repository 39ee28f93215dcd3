"""Model files: ``.pt`` (state_dict + config, loaded with ``weights_only=True``) and ``.safetensors`` (config in the metadata)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bimhw.models.registry import config_from, config_to_json, family_of
from bimhw.models.tensors import as_array, on_cpu
from bimhw.models.torch_files import HASH_KEY, load_torch, save_torch
from simulator.base import files, writing
from simulator.base.arrays import Array
from simulator.base.errors import InputError, UncheckedWarning
from simulator.base.misplaced import WAY_IN, check_no_run_folder, check_readable_kind
from simulator.base.reading import boundary, check_is_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bimhw.models.nets import Net
    from bimhw.models.words.net import WordNet

CONFIG_KEY = "bimhw.config"
FORMAT_KEY = "bimhw.format"
FORMAT = "2"  # with a content hash; files of format 1 have neither
Arrays = dict[str, Array]
_SUFFIXES = (".pt", ".safetensors")


def save_model(model: Net | WordNet, path: str | Path) -> Path:
    """Write a model, whole or not at all; the suffix chooses the format.

    Raises:
        InputError: another suffix, or the path cannot be written.
    """
    return write_contents(path, config_to_json(model.config), model.state_dict())


def write_contents(path: str | Path, config: str, state_dict: Mapping[str, Tensor]) -> Path:
    """Write a config (JSON) and tensors as a model file; errors as in `save_model`."""
    path = _checked_suffix(Path(path))
    state = {k: on_cpu(v).contiguous() for k, v in state_dict.items()}
    if path.suffix == ".safetensors":
        arrays = {k: as_array(v) for k, v in state.items()}
        facts = {CONFIG_KEY: config, FORMAT_KEY: FORMAT}
        files.write_safetensors(path, arrays, facts)
    else:
        save_torch(path, {"state_dict": state, "config": config, "format": FORMAT})
    return path


def check_output(path: str | Path) -> Path:
    """Raise `InputError` at once if a model cannot be written there (rather than after the training)."""
    path = _checked_suffix(Path(path))
    writing.check_output(path)
    return path


def load_model(path: str | Path) -> nn.Module:
    """Read a model of any family back as a torch module.

    Raises:
        InputError: see `load_arrays`.
    """
    config, arrays = load_arrays(path)
    return family_of(config).load_module(config, arrays)


def load_net(path: str | Path) -> Net:
    """Read a model that a task runs back as a torch module.

    Raises:
        InputError: see `load_arrays`; or a family that no task runs in torch.
    """
    from bimhw.models.nets import as_net

    return as_net(load_model(path), str(path))


def load_arrays(path: str | Path) -> tuple[Any, Arrays]:
    """Return config and arrays of a model file, checked; a ``.safetensors`` of BIM and P-SpikeSSM needs no torch.

    Raises:
        InputError: no such file, a pickled module, a checkpoint of something else, wrong shapes, NaN or infinite weights.
    """
    path = Path(path)
    content, arrays = read_contents(path)
    with boundary(path, "a bimhw model"):
        config = config_from(content, str(path))
    family_of(config).check(config, arrays, str(path))
    return config, arrays


def read_contents(path: str | Path) -> tuple[Any, Arrays]:
    """Return the config as it stands in a model file, and the arrays, of any family.

    Raises:
        InputError: no such file, a pickled module, a checkpoint of something else.
    """
    check_no_run_folder(path)
    path = Path(path)
    check_is_file(path)
    if path.suffix not in _SUFFIXES:
        check_readable_kind(path)
        raise InputError(
            str(path),
            f"has the suffix {path.suffix!r}, a trained model's file ends in .pt or .safetensors",
            "Give the file that bimhw train wrote",
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pt(path)


def _checked_suffix(path: Path) -> Path:
    if path.suffix not in _SUFFIXES:
        raise InputError(
            str(path), f"has the suffix {path.suffix!r}, a model file ends in .pt or .safetensors", "Rename it"
        )
    return path


def _read_safetensors(path: Path) -> tuple[Any, Arrays]:
    arrays, metadata = files.read_safetensors(path)
    if CONFIG_KEY not in metadata:
        raise InputError(
            str(path),
            f"has no {CONFIG_KEY!r} in its metadata: weights without the graph that uses them",
            "Write a BIM model with bimhw train; of another framework, give the module itself from Python: "
            "bimhw.compile(module, chip, sample=x)",
        )
    _check_hashed(path, metadata, FORMAT_KEY, set(metadata) - {CONFIG_KEY, FORMAT_KEY, HASH_KEY})
    return metadata[CONFIG_KEY], arrays


def _check_hashed(path: Path, content: Mapping[str, Any], format_key: str, unknown: set[Any]) -> None:
    """Raise `InputError` for a hash that is missing or a key that is none; warn of a file older than hashes."""
    if unknown:
        raise InputError(str(path), f"holds the unknown key {min(map(str, unknown))!r}", "Write it again")
    if HASH_KEY in content and content.get(format_key) == FORMAT:
        return
    if HASH_KEY in content or format_key in content:
        raise InputError(str(path), f"is not of format {FORMAT}, or its hash is gone", "Write it again")
    warnings.warn(
        f"{path}: holds no content hash, so a change in it goes unseen; save it again with bimhw.models.io.save_model",
        UncheckedWarning,
        stacklevel=5,
    )


def _read_pt(path: Path) -> tuple[Any, Arrays]:
    content = load_torch(path, "a whole torch file")
    if not {"state_dict", "config"} <= content.keys():
        if _is_bare(content):
            raise InputError(
                str(path),
                "is a bare state_dict: weights without the graph that uses them",
                WAY_IN,
            )
        raise InputError(
            str(path),
            "is a checkpoint of something else: no 'state_dict' and 'config' in it",
            "Write it with bimhw train",
        )
    _check_hashed(path, content, "format", set(content) - {"state_dict", "config", "format", HASH_KEY})
    with boundary(path, "a bimhw model"):
        return content["config"], _as_arrays(content["state_dict"], path)


def _is_bare(content: Mapping[str, Any]) -> bool:
    """Return whether a torch file holds named tensors and nothing else, perhaps under ``state_dict`` or ``model``."""
    import torch

    inner = next((content[k] for k in ("state_dict", "model_state_dict", "model") if k in content), content)
    return isinstance(inner, Mapping) and bool(inner) and all(isinstance(v, torch.Tensor) for v in inner.values())


def _as_arrays(state: object, path: Path) -> Arrays:
    import torch

    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(str(path), "its 'state_dict' is not a dict of tensors", "Write it with bimhw train")
    for name, v in state.items():
        if (
            v.layout != torch.strided or v.is_quantized or v.device.type != "cpu"
        ):  # sparse, int8 with a scale, without data
            raise InputError(
                f"{path}: {name}", "is no plain tensor of numbers", "Save it dense, in float32, on the CPU"
            )
    return {str(k): as_array(v) for k, v in state.items()}
