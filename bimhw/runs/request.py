"""A `Request`: one run as a value - a program, its inputs, a chip, and `How` it is run there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from mapping.limits import check_widths
from simulator.base.errors import InputError, unknown_name
from simulator.chips.chip import Chip
from simulator.program.faults import Faults, check_faults
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Engine = Literal["compiled", "simpy", "clocked", "bound", "events", "none"]
Sync = Literal["barrier", "tick", "free", "neighbour"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
SYNCS: tuple[Sync, ...] = get_args(Sync)
Probe = tuple[str, str]
_SOUND = Faults()


@dataclass(frozen=True)
class How:
    """Settings of a program's run.

    Attributes:
        engine: timing engine; ``events`` computes and times in one event-driven simulation; ``none``: function only.
        seed: key of everything random on the chip.
        faults: what is broken on the chip.
        strict: a value that leaves its word is an error instead of a count.
        sync: ``barrier``, ``tick`` (step s begins at s x period), ``neighbour`` (a core goes on when its neighbours do) or
            ``free`` (no steps; events drive the cores).
        period_ns: of ``tick`` and ``free``.
        keep: steps whose work and stamps are kept for a trace.
        checkpoint: file to save to and, if it exists, to go on from.
        checkpoint_every: steps between two checkpoints.
        timing_sample: share of the steps to time; None: all.
        threads: that samples and steps are shared among; the result is the same for any number.
        dask: address of a Dask scheduler that samples and chunks of steps are sent to; the result is the same.
    """

    engine: Engine = "compiled"
    seed: int = 0
    faults: Faults = _SOUND
    strict: bool = False
    sync: Sync = "barrier"
    period_ns: float | None = None
    keep: range = range(0)
    checkpoint: str | Path | None = None
    checkpoint_every: int = 1000
    timing_sample: float | None = None
    threads: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        if self.sync not in SYNCS:
            raise unknown_name("sync", self.sync, SYNCS, listed="Synchronisations")
        timed = self.sync in ("tick", "free")
        if not timed and self.period_ns is not None:
            raise InputError("period", "belongs to tick and free synchronisation", "Give --sync tick as well")
        if timed and not (self.period_ns and self.period_ns > 0):
            raise InputError(f"sync {self.sync!r}", "needs a period above 0", "For example --period 1ms")
        if self.engine == "events" and (self.faults != Faults() or self.checkpoint is not None):
            raise InputError("engine 'events'", "runs without faults and checkpoints", "Use --engine compiled")
        if self.sync == "free" and self.engine not in ("events", "compiled"):
            raise InputError("sync 'free'", f"has no engine {self.engine!r}", "Use --engine events")


_PLAIN = How()


@dataclass(frozen=True, eq=False)
class Request:
    """One run, checked as far as it can be before it begins.

    Attributes:
        program: mapped to the chip.
        trains: input spikes of each sample.
        chip: the chip; None for a program of no chip, whose function alone can be run.
        steps: chip steps of a sample.
        probes: (population, state) pairs to record.
        how: engine, seed, faults, synchronisation.
        first: samples of the same run that were run before, apart (`bimhw.runs.pieces`).

    Raises:
        InputError: faults, an engine or a synchronisation that the chip does not have.
        FitError: weights in words that the chip does not store.
    """

    program: Program
    trains: Sequence[SpikeTrain]
    chip: Chip | None
    steps: int
    probes: Sequence[Probe] = ()
    how: How = field(default=_PLAIN)
    first: int = 0

    def __post_init__(self) -> None:
        chip, how = self.chip, self.how
        if chip is None:
            if how.engine != "none":
                raise InputError(
                    f"engine {how.engine!r}", "needs a chip, and the program has none", "Use --engine none"
                )
            return
        check_faults(how.faults, chip.topology)
        check_widths(self.program, chip)
        has = chip.capabilities.sync
        if how.engine != "none" and chip.timing is not None and how.sync not in has:
            way = f"Choose {' or '.join(has)}, or list it under capabilities.sync of a chip file of your own"
            raise InputError(f"sync {how.sync!r}", f"is not one of chip {chip.name!r}: {', '.join(has)}", way)
        if how.engine == "events" and chip.timing is None:
            raise InputError("engine 'events'", f"needs times, and chip {chip.name!r} has none", "Use --engine none")


def parse_period(text: str) -> float:
    """Return ns of a time such as ``1ms``, ``20us`` or ``500`` (ns)."""
    units = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
    unit = next((u for u in ("ns", "us", "µs", "ms", "s") if text.endswith(u)), "")
    try:
        value = float(text.removesuffix(unit)) * units[unit or "ns"]
    except ValueError as error:
        raise InputError(f"period {text!r}", "is no time", "For example 1ms, 20us or 500ns") from error
    if not 0 < value < float("inf"):
        raise InputError(f"period {text!r}", "must be above 0", "For example 1ms")
    return value
