"""Checkpoints of training: what a run was started with beside its state, in a file of hashed tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from bimhw.learning.device import CPU, placed
from bimhw.models.bim.net import BimNet
from bimhw.models.torch_files import HASH_KEY, load_torch, save_torch
from simulator.base.errors import InputError

Content = dict[str, Any]
_EVERY_S = 60.0  # between two writes within an epoch


class Saved(NamedTuple):
    """Place of a checkpoint, and the choice to resume from it."""

    path: Path
    resume: bool = False

    def open(self, kind: str, data: str, config: str, settings: msgspec.Struct) -> Checkpoint:
        """Return the checkpoint of a training."""
        as_json = msgspec.json.encode(settings, order="sorted").decode()
        return Checkpoint(self.path, kind, {"task": data, "config": config, "settings": as_json}, self.resume)


class Checkpoint:
    """A file that a run goes on from.

    Args:
        path: the file.
        kind: format of the content.
        setup: what the run is made of, by name; a checkpoint of another setup is refused.
        resume: go on from the file; else a file that is there is refused.

    Raises:
        InputError: the file is there and was not to be resumed.
    """

    def __init__(self, path: str | Path, kind: str, setup: Mapping[str, str], resume: bool = False) -> None:
        self.path, self.kind, self.setup, self.resume = Path(path), kind, dict(setup), resume
        if self.path.exists() and not resume:
            raise InputError(str(path), "holds a run already", "Go on from it with --resume, or give another path")

    def read(self) -> Content | None:
        """Return the content to go on from, None where the run begins.

        Raises:
            InputError: a broken checkpoint, or one of another setup.
        """
        if not self.resume or not self.path.exists():
            return None
        content = load_torch(self.path, "a whole checkpoint", "Start anew without --resume, or take an older one")
        if HASH_KEY not in content or content.get("format") != self.kind:
            raise InputError(
                str(self.path), f"is not a checkpoint of this kind ({self.kind})", "bimhw train --checkpoint writes one"
            )
        for name, value in self.setup.items():
            if content.get(name) != value:
                raise InputError(
                    f"{self.path}: {name}",
                    f"is of another configuration: {difference(content.get(name), value)}",
                    "Give the options that it was written with, or start anew without --resume",
                )
        return content

    def write(self, content: Mapping[str, object]) -> None:
        """Write the file, whole or not at all."""
        save_torch(self.path, {"format": self.kind, **self.setup, **placed(content, CPU)})

    def when_due(self, content: Callable[[], Content]) -> Callable[[], None]:
        """Return a call that writes the content once a minute."""
        last = time.monotonic()

        def between() -> None:
            nonlocal last
            if time.monotonic() - last >= _EVERY_S:
                self.write(content())
                last = time.monotonic()

        return between


def weights_of(net: torch.nn.Module) -> dict[str, Tensor]:
    """Return parameters, masks and running statistics of a network."""
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


@torch.no_grad()
def load_weights(net: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put parameters, masks and running statistics back in place."""
    for name, value in weights.items():
        if isinstance(net, BimNet) and ".mask_" in name:
            net.add_mask(name, value)
    for name, p in net.named_parameters():
        p.copy_(weights[name])
    for name, statistic in net.named_buffers():
        if name in weights:
            statistic.copy_(weights[name])


def difference(theirs: object, mine: str) -> str:
    """Name where two JSON objects differ, or give the two values."""
    try:
        a, b = (msgspec.json.decode(v, type=Content) for v in (str(theirs), mine))
        names = [n for n in sorted({*a, *b}) if a.get(n) != b.get(n)]
    except msgspec.MsgspecError:
        return f"it has {theirs!r}, this run {mine!r}"
    return "; ".join(f"{n} is {a.get(n)!r} there, {b.get(n)!r} in this run" for n in names)
