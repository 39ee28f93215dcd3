"""A GPU's figures, one YAML a card: sourced like a chip's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from simulator.base.errors import InputError, unknown_name
from simulator.base.reading import boundary, parse_yaml, read_text
from simulator.chips.quantity import Quantity

_UNITS = {
    "fp32_tflops": "TFLOP/s",
    "tensor_tflops": "TFLOP/s",
    "bandwidth_gb_s": "GB/s",
    "memory_gb": "GB",
    "board_power_w": "W",
    "idle_w": "W",
    "low_load_w": "W",
    "launch_us": "us",
    "efficiency": "1",
    "step_us": "us",
    "host_w": "W",
}


class GpuCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One card.

    Attributes:
        fp32_tflops, tensor_tflops: peak of plain float32 and of the tensor units (16 bits, dense).
        bandwidth_gb_s, memory_gb: of its memory.
        board_power_w: at full load (TDP).
        idle_w: with nothing running.
        low_load_w: while small kernels run one after another.
        launch_us: from one small kernel to the next in a stream.
        efficiency: share of the peak that real kernels reach.
        step_us: from one step of a recurrence to the next inside one launch (graph node, or grid-wide wait).
        host_w: share of the computer around the card that one card's work keeps busy; None: unknown.
    """

    name: str
    title: str
    fp32_tflops: Quantity
    tensor_tflops: Quantity
    bandwidth_gb_s: Quantity
    memory_gb: Quantity
    board_power_w: Quantity
    idle_w: Quantity
    low_load_w: Quantity
    launch_us: Quantity
    efficiency: Quantity
    step_us: Quantity = Quantity(
        1.0, "us", "bimhw", "assumed", where="a graph's node or a grid-wide wait", low=0.1, high=2.5
    )
    host_w: Quantity | None = None

    def figures(self) -> Iterator[tuple[str, Quantity]]:
        """Yield every stated figure with its name."""
        for name in self.__struct_fields__[2:]:
            quantity = getattr(self, name)
            if quantity is not None:
                yield name, quantity

    def at(self, name: str, end: Literal["low", "value", "high"]) -> float:
        """Return a figure at an end of its range; its value where no range is stated.

        Raises:
            InputError: it is unknown.
        """
        stated: float | None = getattr(getattr(self, name), end)
        return self.number(name) if stated is None else stated

    def number(self, name: str) -> float:
        """Return a figure's value.

        Raises:
            InputError: it is unknown.
        """
        quantity: Quantity = getattr(self, name)
        if quantity.value is None:
            raise InputError(f"GPU {self.name!r}: $.{name}", "is unknown, and the estimate needs it", "Give a value")
        return quantity.value


def gpu_names() -> list[str]:
    """Return the cards that come with bimhw."""
    folder = resources.files("energy_models") / "gpus"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def load_gpu(name_or_path: str) -> GpuCard:
    """Load a card by name, or by path of a YAML file.

    Raises:
        InputError: unknown name, missing file, or a file that breaks the schema.
    """
    if name_or_path in gpu_names():
        return _built_in(name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.exists():
        raise unknown_name("GPU", name_or_path, gpu_names(), listed="GPUs", more="or the path of a YAML file")
    return _parse(read_text(path), str(path))


@lru_cache(maxsize=16)
def _built_in(name: str) -> GpuCard:
    return _parse((resources.files("energy_models") / "gpus" / f"{name}.yaml").read_text(encoding="utf-8"), name)


def _parse(text: str, where: str) -> GpuCard:
    with boundary(where, "a GPU card", "See energy_models/gpus/h100.yaml for a whole one"):
        card = msgspec.convert(parse_yaml(text, where), GpuCard, strict=False)
    for name, quantity in card.figures():
        unit = _UNITS[name]
        if quantity.unit != unit:
            raise InputError(
                f"{where}: $.{name}.unit", f"is {quantity.unit!r}; it must be {unit!r}", "Convert the value"
            )
        if quantity.value is not None and not (0 if name == "host_w" else 1e-12) <= quantity.value < 1e9:
            raise InputError(f"{where}: $.{name}", f"is {quantity.value:g}; it must be greater than 0", "Check it")
    if card.efficiency.value is not None and card.efficiency.value > 1:
        raise InputError(
            f"{where}: $.efficiency", f"is {card.efficiency.value:g}", "It is a share of the peak, at most 1"
        )
    return card
