"""Decision records: numbered without gaps, one template, all in the index, no link to a record that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_numbers_have_no_gaps() -> None:
    assert [int(p.name[:4]) for p in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda p: p.stem[:40])
def test_a_record_follows_the_template_and_is_in_the_index(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert re.search(r"^\*\*Status\.\*\* (accepted|superseded)", text, flags=re.M)
    assert "**Decision.**" in text
    assert f"({record.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_links_to_records_hold() -> None:
    for page in [ROOT / "README.md", ROOT / "pyproject.toml", *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"decisions/(\d{4}[\w-]*\.md)", page.read_text(encoding="utf-8")):
            assert (FOLDER / name).is_file(), f"{page}: {name}"
