"""Damaged files through every reader; `make fuzz` runs more, with a new seed each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.tasks.features.audio import decode_sound
from bimhw.tasks.sources.annotations import parse_marks
from simulator.base.errors import BimhwError
from simulator.base.reading import parse_json, parse_yaml
from simulator.chips.load import parse_chip
from simulator.program.check import check_program
from simulator.program.faults import parse_faults
from simulator.program.header import check_meta
from tests.fuzz.harness import fuzz

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def test_damaged_files_end_in_success_or_one_message(tmp_path: Path) -> None:
    _, failures = fuzz(tmp_path, 400, seed=20)
    assert not failures


@pytest.mark.long
def test_many_damaged_files(tmp_path: Path) -> None:
    _, failures = fuzz(tmp_path, 20_000, seed=21)
    assert not failures


def ends_well(read: Any, *arguments: Any) -> None:
    try:
        read(*arguments)
    except BimhwError as error:
        assert len(str(error)) < 1800
        assert all(c.isprintable() or c == "\n" for c in str(error))


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text(text: str) -> None:
    for read in (parse_yaml, parse_json, parse_chip):
        ends_well(read, text, "x")


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes(data: bytes) -> None:
    ends_well(parse_marks, data, "x")
    ends_well(decode_sound, data, "x", 8000)


@pytest.mark.parametrize("begins", [b"ID3\x04", b"\xff\xfb\x90\x00", b"OggS"])
def test_sound_of_other_formats_is_refused_in_silence(begins: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BimhwError, match="neither WAV nor FLAC"):
        decode_sound(begins * 500, "a.wav", 8000)
    assert capfd.readouterr() == ("", "")


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_any_value(value: Any) -> None:
    ends_well(parse_faults, value)
    if isinstance(value, dict):
        ends_well(check_meta, value, {"a"})
    ends_well(parse_yaml, json.dumps(value), "x")


_META = ("chip_steps", "sample_steps", "input", "output", "outputs", "formats", "options", "relays", "notes", "task")


@given(st.dictionaries(st.sampled_from(_META), JSON, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_meta(meta: dict[str, Any]) -> None:
    import numpy as np

    from simulator.program.program import Program

    ends_well(check_program, Program("", "", (), (), np.zeros(0, np.int32), {}, meta))
