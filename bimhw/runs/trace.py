"""Traces of a window of steps and cores, in the format that the file's name asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.base.errors import InputError
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import TimingRun

SUFFIXES = (".npz", ".json", ".vcd")
DEFAULT_STEPS = 20


def check_trace(path: Path, window: range, steps: int) -> None:
    """Raise `InputError` unless the file's name and the window of steps can be served."""
    if not path.name.endswith(SUFFIXES):
        raise InputError(str(path), "is no kind of trace", f"Traces end in {', '.join(SUFFIXES)}")
    if window.stop <= window.start or window.start < 0 or window.stop > steps:
        raise InputError("trace window", f"is {window.start}:{window.stop}, the run has the steps 0:{steps}")


def parse_window(text: str) -> range:
    """Parse ``T0:T1`` as a range of steps."""
    try:
        first, last = (int(part) for part in text.split(":"))
    except ValueError as error:
        raise InputError(f"trace window {text!r}", "is not T0:T1", "For example 0:20") from error
    return range(first, last)


def write_window(path: Path, run: TimingRun, spikes: SpikeTrain, cores: Sequence[int] | None) -> None:
    """Write the kept steps of a timed run: .npz arrays, Chrome/Perfetto JSON, or VCD."""
    from simulator.timing.trace import trace_of, write_chrome, write_trace, write_vcd

    writer = write_trace if path.suffix == ".npz" else write_vcd if path.suffix == ".vcd" else write_chrome
    writer(path, trace_of(run, spikes, cores=None if cores is None else list(cores)))
