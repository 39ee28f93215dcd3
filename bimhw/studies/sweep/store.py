"""Points of a sweep in SQLite, each stored as it finishes; a killed sweep loses nothing that was stored."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec

from simulator.base.errors import InputError
from simulator.base.reading import boundary

_TABLE = """create table if not exists points (
    key text primary key, axes text not null, status text not null, result text not null, reason text not null,
    sha256 text not null)"""

_WHOLE = "pragma integrity_check(1)"


class StoredPoint(msgspec.Struct, frozen=True):
    """A point as it is stored: values of the axes, how it ended, its figures, why it failed."""

    axes: dict[str, Any]
    status: Literal["done", "failed", "stopped"]
    result: dict[str, Any]
    reason: str


def _digest(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


class Store:
    """A table of finished points.

    Raises (every method):
        InputError: the file is not a sweep's, is damaged, or cannot be written (a full disk, for instance).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.parent.is_dir():
            raise InputError(str(path), f"the folder {str(path.parent)!r} does not exist", "Create it first")
        made = not path.exists()
        try:
            self._db = sqlite3.connect(path, timeout=60.0, isolation_level=None)
        except sqlite3.Error as error:
            raise InputError(str(path), f"cannot be opened ({error})") from error
        try:
            self._run(_TABLE)
            self._check_columns()
            _check_whole(self._run(_WHOLE), path)
        except InputError:
            self._db.close()
            if made:
                path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def _run(self, text: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with boundary(str(self.path), "a sweep's database, or it is damaged", "Move it away, or use another --db"):
            try:
                return self._db.execute(text, values).fetchall()
            except sqlite3.OperationalError as error:
                raise InputError(
                    str(self.path),
                    f"cannot be written or read ({error})",
                    "Stored points are safe: make room, then run again",
                ) from error

    def _check_columns(self) -> None:
        there = {row[1] for row in self._run("pragma table_info(points)")}
        missing = {"key", "axes", "status", "result", "reason", "sha256"} - there
        if missing:
            raise InputError(
                str(self.path),
                f"has no column {min(missing)!r}: it was written before points had hashes",
                "Use another --db",
            )

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a stored point, or None."""
        rows = self._run("select axes, status, result, reason, sha256 from points where key = ?", (key,))
        if not rows:
            return None
        return msgspec.structs.asdict(_read_point(self.path, key, *rows[0]))

    def put(self, key: str, axes: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """Store a finished point, in one transaction."""
        values = (
            key,
            json.dumps(dict(axes), sort_keys=True),
            outcome["status"],
            json.dumps(outcome.get("result", {}), sort_keys=True),
            outcome.get("reason", ""),
        )
        self._run("insert or replace into points values (?, ?, ?, ?, ?, ?)", (*values, _digest(*values)))

    def plan(self, points: int) -> None:
        """Store how many points there will be; SQLite's user version is free for it."""
        self._run(f"pragma user_version = {points:d}")

    def count(self) -> int:
        """Return the number of stored points."""
        return int(self._run("select count(*) from points")[0][0])


def _check_whole(found: list[tuple[Any, ...]], path: Path) -> None:
    """Raise `InputError` unless SQLite found its pages sound: a damaged index loses points, and no hash tells."""
    if found != [("ok",)]:
        raise InputError(str(path), f"is damaged ({str(found[0][0])[:200]})", "Move it away, or use another --db")


def _read_point(path: Path, key: str, axes: str, status: str, result: str, reason: str, digest: str) -> StoredPoint:
    where, way_out = f"{path}: point {key}", "Remove the row, or use another --db"
    with boundary(where, "a point of a sweep", way_out):
        if _digest(key, axes, status, result, reason) != digest:
            raise InputError(where, "was altered after it was stored (its hash does not fit)", way_out)
        point = {"axes": axes, "status": status, "result": result, "reason": reason}
        return msgspec.convert(point | {"axes": json.loads(axes), "result": json.loads(result)}, StoredPoint)


def read_points(path: Path) -> tuple[list[StoredPoint], int]:
    """Return the points stored so far, in the order of their ends, and how many there will be; a running sweep goes on.

    Raises:
        InputError: the file is not a sweep's, or a point was altered.
    """
    with (
        boundary(str(path), "a sweep's database"),
        contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db,
    ):
        _check_whole(db.execute(_WHOLE).fetchall(), path)
        rows = db.execute("select key, axes, status, result, reason, sha256 from points order by rowid").fetchall()
        planned = int(db.execute("pragma user_version").fetchone()[0])
        return [_read_point(path, *row) for row in rows], planned
