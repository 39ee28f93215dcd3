"""The reader of annotations against the WFDB library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.tasks.sources.annotations import SYMBOLS, parse_marks
from simulator.base.errors import InputError

wfdb = pytest.importorskip("wfdb")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about pandas
BEATS = sorted(s for s in SYMBOLS.values() if s not in ' "')


@given(st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from(BEATS)), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_what_the_library_writes_is_read_as_the_library_reads_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("ann")
    samples = np.cumsum([gap for gap, _ in steps])
    wfdb.wrann("r", "atr", samples, [symbol for _, symbol in steps], fs=360, write_dir=str(folder))
    theirs = wfdb.rdann(str(folder / "r"), "atr")
    mine = parse_marks((folder / "r.atr").read_bytes(), "r.atr")
    assert np.array_equal(mine.samples, theirs.sample) and list(mine.symbols) == theirs.symbol


def test_damage(tmp_path: Path) -> None:
    wfdb.wrann("r", "atr", np.array([5, 900_000]), ["N", "V"], write_dir=str(tmp_path))
    data = (tmp_path / "r.atr").read_bytes()
    for end in range(0, len(data) - 1, 2):
        with pytest.raises(InputError, match="no end mark"):
            parse_marks(data[:end], "x")
    hang = bytes.fromhex("005817fc2323207469ffff")  # the library loops on a comment without its end
    with pytest.raises(InputError):
        parse_marks(hang, "x")
