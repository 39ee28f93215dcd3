"""Load chip files by name or path; parse and check their YAML."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from simulator.base.errors import InputError, unknown_name
from simulator.base.near import near_paths
from simulator.base.reading import boundary, parse_yaml, read_text
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quantity
from simulator.chips.rules import check_chip
from simulator.chips.system import with_chips

_SUFFIXES = (".yaml", ".yml")


def chip_names() -> list[str]:
    """Return the names of the chips that come with bimhw."""
    return list(_names())


@cache
def _names() -> tuple[str, ...]:
    folder = resources.files("simulator") / "chips"
    return tuple(sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")))


def load_chip(name_or_path: str) -> Chip:
    """Load a chip by name, or by path of a YAML file; ``-x4`` behind either makes a system of 4 such chips (``loihi2-x4``).

    A file is a chip file or a SANA-FE architecture, which is imported (`simulator.chips.sanafe`).

    Raises:
        InputError: unknown name, missing file, or a file that breaks the schema; the message has the path in the file.
    """
    if name_or_path in chip_names():
        return _built_in(name_or_path)
    path = Path(name_or_path)
    base, _, n = name_or_path.rpartition("-x")
    if base and n.isdecimal() and not path.exists():
        return with_chips(load_chip(base), int(n))
    if path.suffix not in _SUFFIXES and not path.exists():
        more = "or the path of a YAML file; NAME-x4 is a system of 4"
        files = [str(p) for p in near_paths(path) if p.suffix in _SUFFIXES]
        raise unknown_name("chip", name_or_path, [*chip_names(), *files], more=more)
    return parse_chip(read_text(path), str(path))


@lru_cache(maxsize=32)
def _built_in(name: str) -> Chip:
    text = (resources.files("simulator") / "chips" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_chip(text, name)


def _with_key(message: str, raw: Any) -> str:
    """Return a message of the schema with the key in the place of its ``[...]``, and the value found."""
    for table, path in ((("energy",), "$.energy"), (("timing", "barrier_by_tiles"), "$.timing.barrier_by_tiles")):
        if f"{path}[...]" not in message:
            continue
        entries = raw
        for name in table:
            entries = entries[name]
        for key, value in entries.items():
            try:
                msgspec.convert(value, Quantity, strict=False)
            except (msgspec.ValidationError, UnicodeError):
                return f"{message.replace(f'{path}[...]', f'{path}.{key}')}; it holds {value!r}"
    return message


def parse_chip(text: str, where: str) -> Chip:
    """Parse a chip from YAML text; `where` names the file in errors."""
    raw: Any = parse_yaml(text, where)
    if isinstance(raw, dict) and "architecture" in raw and "capabilities" not in raw:
        from simulator.chips.sanafe import chip_of_architecture

        return chip_of_architecture(raw, Path(where))[0]
    try:
        chip = msgspec.convert(raw, Chip, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise InputError(
            where, _with_key(str(error), raw), "`bimhw chips show loihi2 --yaml` prints a complete file to start from"
        ) from error
    with boundary(where, "a chip", "Mend the file"):
        check_chip(chip, where)
    return chip
