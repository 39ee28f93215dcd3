"""Front ends: a model of any kind -> a `Network`; `bimhw.frontends.registry` lists them and says how to add one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bimhw.frontends.registry import front_end_of, options_for
from bimhw.models.tensors import unwrapped
from simulator.base.files import check_is_file

if TYPE_CHECKING:
    from bimhw.tasks.dataset import Dataset
    from mapping.network import Network
    from simulator.chips.chip import Chip


def load_outline(model: object, **reading: object) -> Network | None:
    """Return a network whose convolutions are counted, not unrolled, where unrolling would take much memory, else None.

    Args:
        model, reading: as in `load_network`.

    Raises:
        InputError: as there.
    """
    model = unwrapped(model)
    front_end = front_end_of(model)
    if front_end.outline is None:
        return None
    options = options_for(front_end, reading)
    if isinstance(model, str | Path):
        check_is_file(Path(model))
    return front_end.outline(model, options)


def reading_for(model: object, chip: Chip, **reading: object) -> dict[str, object]:
    """Return options for reading a model that goes to a chip: those given, else those that the chip speaks for."""
    front_end = front_end_of(unwrapped(model))
    own = {} if front_end.of_chip is None else front_end.of_chip(chip)
    return dict(own) | {name: value for name, value in reading.items() if value is not None}


def load_network(model: object, recorded: Dataset | None = None, **reading: object) -> Network:
    """Return the network of a model: float, or integer where the model holds integers already.

    Args:
        model: a file, a `Network`, a torch module, a Brian2 Network, or what else a front end reads.
        recorded: data whose recorded outputs tell how the file is read, where it does not say so itself.
        reading: options of its front end, such as ``profile`` and ``dt`` of a .nir file; None is not given.

    Raises:
        InputError: no such file, an unknown kind of file or object, or an option that its kind does not have.
    """
    model = unwrapped(model)
    front_end = front_end_of(model)
    options = options_for(front_end, reading)
    if not isinstance(model, str | Path):
        return front_end.read(model, options)
    path = Path(model)
    check_is_file(path)
    notes: tuple[str, ...] = ()
    if recorded is not None and front_end.settle is not None:
        options, notes = front_end.settle(path, options, recorded)
    network = front_end.read(path, options)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    meta = dict(network.meta) | {"model_sha256": digest}
    if notes:
        meta["notes"] = [*notes, *meta.get("notes", [])]
    return replace(network, meta=meta)
