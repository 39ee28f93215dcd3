"""The families of models that one set of commands trains, saves, compiles and simulates: BIM and P-SpikeSSM. Needs no torch."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bimhw.models.bim import config as bim
from bimhw.models.bim.config import BimConfig
from bimhw.models.spikessm import config as p_spikessm
from bimhw.models.spikessm.config import PSpikeConfig
from simulator.base.errors import InputError
from simulator.base.reading import boundary, parse_json

AnyConfig = BimConfig | PSpikeConfig
_VERSION = "Was it written by another version?"
STACK: Final = "stack"
FAMILIES = ("bim", p_spikessm.FAMILY)


def is_stack(content: object) -> bool:
    """Return whether the config of a model file is that of a torch stack (`bimhw.models.stack_files`)."""
    try:
        head = msgspec.json.decode(content, type=dict[str, Any]) if isinstance(content, str | bytes) else {}
    except msgspec.MsgspecError:
        return False
    return head.get("family") == STACK


def config_from(value: Any, where: str) -> AnyConfig:
    """The config of a model of any family from JSON text or a plain dict; one without `family` is BIM's.

    Raises:
        InputError: as `bimhw.models.bim.config.config_from`, or an unknown family.
    """
    content = parse_json(value, f"{where}: config", _VERSION) if isinstance(value, str | bytes) else value
    family = content.get("family", "bim") if isinstance(content, dict) else "bim"
    if family == "bim":
        return bim.config_from(value, where)
    if family != p_spikessm.FAMILY:
        raise InputError(f"{where}: config", f"is of the unknown family {family!r}", f"Families: {', '.join(FAMILIES)}")
    with boundary(f"{where}: config", "a P-SpikeSSM config", _VERSION):
        return msgspec.convert(content, PSpikeConfig)


def config_to_json(config: AnyConfig) -> str:
    """The config as JSON text, keys in a fixed order."""
    return msgspec.json.encode(config, order="sorted").decode()


def parameter_shapes(config: AnyConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters, as in a checkpoint's ``state_dict``."""
    return bim.parameter_shapes(config) if isinstance(config, BimConfig) else p_spikessm.parameter_shapes(config)


def mask_shapes(config: AnyConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the optional synapse masks."""
    return bim.mask_shapes(config) if isinstance(config, BimConfig) else {}
