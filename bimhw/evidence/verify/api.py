"""`bimhw.verify`: the independent comparisons in one call."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bimhw.evidence.verify.check import Check, Outcome, Setting, run_checks
from bimhw.runs.workers import spreading
from simulator.base.errors import InputError
from simulator.base.misplaced import check_no_run_folder
from simulator.base.near import missing_path
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown

if TYPE_CHECKING:
    from bimhw.evidence.verify.rtl.check import Row

OWN = "own network"  # begins the names of its checks
RTL = "published RTL"  # name of the check that replays recordings


@dataclass(frozen=True, eq=False, repr=False)
class Verification(Shown):
    """Outcomes of the checks.

    Attributes:
        setting: seed, size and folders.
        outcomes: one for each check.
        replayed: cases of published RTL, where a folder was given.
    """

    setting: Setting
    outcomes: tuple[Outcome, ...]
    replayed: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Checks that failed."""
        return tuple(o for o in self.outcomes if o.status == "FAIL")

    @property
    def passed(self) -> bool:
        """True where no check failed."""
        return not self.failed

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        checks, rows = [o.as_json() for o in self.outcomes], [r.as_json() for r in self.replayed]
        head = {"seed": self.setting.seed, "full": self.setting.full, "passed": self.passed}
        return head | {"checks": checks, "rtl": rows}


@refuses_ignored("verify")
def verify(
    full: bool = False,
    seed: int | None = None,
    only: Sequence[str] = (),
    nir: Path | str | None = None,
    silicon: Path | str | None = None,
    rtl: Path | str | None = None,
    done: Callable[[Outcome], None] = lambda outcome: None,
    dask: str | None = None,
    *,
    model: Path | str | None = None,
    data: object = None,
    chip: str = "loihi2",
    workers: int = 1,
) -> Verification:
    """Compare this installation with independent oracles.

    Args:
        full: minutes instead of seconds: more random cases.
        seed: of the random cases; None: a new one.
        only: only checks whose name contains one of these texts.
        nir: folder of .nir files with recorded spikes.
        silicon: folder of published measurements.
        rtl: folder of recorded runs of hardware descriptions; given alone, only these are replayed.
        done: called after each check.
        dask: address of a Dask scheduler that checks run on, except replays of RTL; its workers see the folders.
        model: file of a network of your own; given with data, only it is checked unless `only` names checks.
        data: samples for it: a `bimhw.Dataset`, or what `Dataset.open` reads.
        chip: that it is compiled for.
        workers: processes that share the checks. The outcome is the same for any number.

    Raises:
        InputError: a path that is no folder, or a text that names no check.
    """
    folders = {k: None if f is None else Path(f) for k, f in (("nir", nir), ("silicon", silicon), ("rtl", rtl))}
    for folder in folders.values():
        if folder is not None and not folder.is_dir():
            raise missing_path(folder, problem="is not a folder")
    _check_own(model, data)
    if model is not None and not (only or nir or silicon or rtl or full):
        only = (OWN,)
    if rtl is not None and not (only or nir or silicon or full):
        only = (RTL,)
    chosen = _named(only)
    replayed: list[Row] = []
    drawn = secrets.randbelow(10**6) if seed is None else seed
    setting = Setting(
        drawn, full, folders["nir"], folders["silicon"], folders["rtl"], replayed.append,
        None if model is None else Path(model), data, chip,
    )  # fmt: skip
    if dask is None and workers == 1:
        outcomes = run_checks(chosen, setting, done)
    else:
        with spreading(dask, workers) as spread:
            there = run_checks([c for c in chosen if c.name != RTL], replace(setting, rtl_row=_ignore), done, spread)
        here = run_checks([c for c in chosen if c.name == RTL], setting, done)
        outcomes = sorted([*there, *here], key=lambda o: [c.name for c in chosen].index(o.check.name))
    return Verification(setting, tuple(outcomes), tuple(replayed))


def _check_own(model: Path | str | None, data: object) -> None:
    """Raise `InputError` unless a model comes with its data, and both are there."""
    if (model is None) != (data is None):
        raise InputError(
            "verify", "takes a model of your own with its data", "Give both --model and --data, or neither"
        )
    for file in (model, data):
        if isinstance(file, str | Path):
            check_no_run_folder(file)
            if not Path(file).exists():
                raise missing_path(file)


def _named(only: Sequence[str]) -> list[Check]:
    """Return the checks whose names contain one of these texts; all without a text."""
    from bimhw.evidence.verify.checks import CHECKS

    chosen = [c for c in CHECKS if not only or any(text.lower() in c.name.lower() for text in only)]
    if not chosen:
        raise InputError(f"check {' '.join(only)!r}", "is not known", f"Checks: {'; '.join(c.name for c in CHECKS)}")
    return chosen


def _ignore(row: Row) -> None:
    """Leave a replayed case."""
