"""A store of points that was changed or damaged says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest

from bimhw.studies.sweep.store import Store, read_points
from simulator.base.errors import InputError

KEYS = [f"{k:024x}" for k in range(8)]


def _stored(path: Path) -> bytes:
    with Store(path) as store:
        for k, key in enumerate(KEYS):
            store.put(key, {"cores": k}, {"status": "done", "result": {"accuracy": k / 8}})
    return path.read_bytes()


def _all(path: Path) -> list[str]:
    with Store(path) as store:
        return [str(p) for p in read_points(path)] + [str(store.get(key)) for key in KEYS]


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path, random = tmp_path / "s.sqlite", Random(0)
    data, refused = _stored(path), 0
    sound = _all(path)
    for _ in range(200):
        changed = bytearray(data)
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
        path.write_bytes(changed)
        try:
            assert _all(path) == sound
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 10


def test_a_damaged_index_loses_no_point_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    data = _stored(path)
    at = data.rindex(KEYS[3].encode())  # in the page of the index, the last one
    path.write_bytes(data[:at] + b"f" + data[at + 1 :])
    with sqlite3.connect(path) as db:
        assert db.execute("select count(*) from points").fetchone() == (len(KEYS),)  # the rows themselves are whole
    db.close()
    for read in (lambda: Store(path), lambda: read_points(path)):
        with pytest.raises(InputError, match="is damaged"):
            read()
