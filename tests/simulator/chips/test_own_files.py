"""`bimhw chips new --like FILE`: a file of any form that a chip may have."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from simulator.base.errors import InputError
from simulator.chips.listing import chip_text, new_chip
from simulator.chips.load import load_chip, parse_chip
from tests.bimhw.frontends.sanafe_nets import ARCHITECTURE


def _in_order_of_the_alphabet() -> str:
    from ruamel.yaml import YAML

    content = YAML(typ="safe").load(chip_text("loihi2"))
    return "".join(f"{key}: {json.dumps(content[key])}\n" for key in sorted(content))


def test_a_router_of_too_many_cores_is_found_before_it_is_timed(tmp_path: Path) -> None:
    text = chip_text("generic").replace("cores_per_router: 1", "cores_per_router: 60", 1)
    assert "cores_per_router: 60" in text
    with pytest.raises(InputError, match=r"cores_per_router: is 60; 59 are the most"):
        parse_chip(text, "mine.yaml")
    assert parse_chip(text.replace("cores_per_router: 60", "cores_per_router: 59"), "mine.yaml")


@pytest.mark.parametrize("form", ["alphabet", "json", "folded", "architecture"])
def test_a_chip_starts_from_a_file_of_any_form(form: str, tmp_path: Path) -> None:
    text = {
        "alphabet": _in_order_of_the_alphabet(),
        "json": msgspec.json.encode(load_chip("loihi2")).decode(),
        "folded": chip_text("loihi2").replace("title: ", "title: >-\n  ", 1),
        "architecture": ARCHITECTURE,
    }[form]
    (tmp_path / "first.yaml").write_text(text)
    chip = new_chip(tmp_path / "second.yaml", str(tmp_path / "first.yaml"))
    like = load_chip(str(tmp_path / "first.yaml"))
    assert chip.name == "second" and "started from" in chip.title
    assert msgspec.structs.replace(chip, name=like.name, title=like.title) == like
    assert (tmp_path / "second.yaml").read_text().startswith("# second: a chip of your own")
