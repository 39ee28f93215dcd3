"""Definition of a check, and the loop that runs all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.base.errors import BimhwError, MissingExtraError
from simulator.base.interrupts import check_interrupted
from simulator.function.parts import Spread

if TYPE_CHECKING:
    from bimhw.evidence.verify.rtl.check import Row


@dataclass(frozen=True)
class Setting:
    """Settings of a check.

    Attributes:
        seed: of everything drawn; printed, so that a failure can be repeated.
        full: more cases (minutes) instead of a quick look.
        nir: folder with .nir files, recorded spikes (.npz) and profiles.json, or None.
        silicon: folder with published measurements, or None.
        rtl: folder with recorded runs of hardware descriptions, or None.
        rtl_row: called with every replayed case.
        model: file of a network of the user's own, or None.
        data: samples for it, what `Dataset.open` reads.
        chip: that it is compiled for.
    """

    seed: int
    full: bool = False
    nir: Path | None = None
    silicon: Path | None = None
    rtl: Path | None = None
    rtl_row: Callable[[Row], None] = lambda row: None
    model: Path | None = None
    data: object = None
    chip: str = "loihi2"

    def cases(self, quick: int, full: int) -> range:
        """Return the seeds of this many cases."""
        return range(self.seed, self.seed + (full if self.full else quick))

    def rng(self) -> np.random.Generator:
        """Return the random numbers of this setting."""
        return np.random.default_rng(self.seed)


class Skip(Exception):
    """A check that cannot be made here; its text says why."""


@dataclass(frozen=True)
class Check:
    """One comparison with something that does not come from us.

    Attributes:
        name: what is checked.
        against: the independent oracle.
        figure: what the number is.
        limit: the check passes when the number is at most this.
        run: gives the number.
    """

    name: str
    against: str
    figure: str
    limit: float
    run: Callable[[Setting], float]


@dataclass(frozen=True)
class Outcome:
    """A check that was run: value None where it was skipped; `note` says why, or what went wrong."""

    check: Check
    value: float | None
    seconds: float
    note: str = ""

    @property
    def status(self) -> str:
        """pass, FAIL or skipped."""
        if self.value is None:
            return "FAIL" if self.note.startswith("error: ") else "skipped"
        return "pass" if self.value <= self.check.limit else "FAIL"

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        c = self.check
        plain = {"name": c.name, "against": c.against, "figure": c.figure, "limit": c.limit}
        return plain | {"value": self.value, "status": self.status, "seconds": self.seconds, "note": self.note}


def run_checks(
    checks: Sequence[Check],
    setting: Setting,
    done: Callable[[Outcome], None] = lambda outcome: None,
    spread: Spread | None = None,
) -> list[Outcome]:
    """Run the checks one after another, or side by side where `spread` puts them."""
    if spread is not None:
        outcomes = list(spread(run_check, [(check, setting) for check in checks]))
        for outcome in outcomes:
            done(outcome)
        return outcomes
    outcomes = []
    for check in checks:
        outcomes.append(run_check(check, setting))
        done(outcomes[-1])
    return outcomes


def run_check(check: Check, setting: Setting) -> Outcome:
    """Run one check; one that breaks is a failure, not the end."""
    start, value, note = time.perf_counter(), None, ""
    try:
        value = float(check.run(setting))
    except (Skip, MissingExtraError) as reason:
        note = str(reason)
    except (BimhwError, ArithmeticError, ValueError, IndexError, KeyError, RuntimeError, AssertionError) as error:
        check_interrupted(error)
        note = f"error: {type(error).__name__}: {error}"
    return Outcome(check, value, time.perf_counter() - start, note)
