"""Front ends: a model of any kind -> a float network."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

from mapping.network import Network
from simulator.base.errors import InputError
from simulator.base.files import check_is_file

# file suffix -> (module, function from a path to a float network)
_BY_SUFFIX = {
    ".nir": ("bimhw.frontends.nir.lower", "read_network"),
    ".pt": ("bimhw.frontends.checkpoints", "load_checkpoint"),
    ".safetensors": ("bimhw.frontends.checkpoints", "load_checkpoint"),
}


def load_network(model: Any, **reading: Any) -> Network:
    """The float network of a model file, of a network itself, of a torch module, or of a Brian2 Network.

    Args:
        model: what to read.
        reading: how to read a .nir file (``profile``, ``dt``) or a torch stack (``input_shape``); None is not given.

    Raises:
        InputError: no such file, an unknown kind of file or object, options that its kind does not have.
    """
    given = {name: value for name, value in reading.items() if value is not None}
    path = isinstance(model, str | Path) and Path(model).suffix
    stack = not path and hasattr(model, "named_children") and not hasattr(model, "config")
    for name in given:
        if (name == "input_shape" and not stack) or (name in ("profile", "dt") and path != ".nir"):
            kind = "torch stacks" if name == "input_shape" else ".nir files"
            raise InputError(f"option {name}", f"is for {kind} only", "Leave it out")
    if isinstance(model, Network):
        return model
    if stack:
        from bimhw.frontends.stack import module_network as stack_network

        return stack_network(model, **given)
    if any(c.__module__ == "brian2.core.network" for c in type(model).__mro__):
        from bimhw.frontends.brian2.network import from_brian2

        return from_brian2(model)
    if isinstance(model, str | Path):
        return _load_file(Path(model), given)
    if hasattr(model, "config") and hasattr(model, "state_dict"):
        from bimhw.frontends.checkpoints import module_network

        return module_network(model)
    raise InputError(
        f"model of type {type(model).__name__!r}",
        "is not known",
        "Give a file, a bimhw.Network, a BIM or P-SpikeSSM module, or a torch stack",
    )


def _load_file(path: Path, reading: dict[str, Any]) -> Network:
    if path.suffix not in _BY_SUFFIX:
        raise InputError(
            str(path), f"has the unknown suffix {path.suffix!r}", f"Models end in {', '.join(sorted(_BY_SUFFIX))}"
        )
    check_is_file(path)
    module, function = _BY_SUFFIX[path.suffix]
    network: Network = getattr(importlib.import_module(module), function)(path, **reading)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Network(
        network.stage, network.populations, network.projections, dict(network.meta) | {"model_sha256": digest}
    )
