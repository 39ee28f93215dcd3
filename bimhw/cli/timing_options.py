"""Options of long runs: the share of steps that is timed, the number of threads or processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from simulator.base.host_memory import available_bytes

F = TypeVar("F", bound=Callable[..., Any])


class Share(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """A share of a whole, as ``1%`` or ``0.01``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share in (0, 1]."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no share; give 1% or 0.01", param, ctx)
        if not 0 < share <= 1:
            self.fail(f"{text!r} is not above 0 and at most 100 %", param, ctx)
        return share


workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Threads for samples and steps [default: all cores]."
)


_PROCESS_BYTES = 1 << 30  # of a process with torch and a small network


def _processes() -> int:
    cores, there = os.cpu_count() or 1, available_bytes()
    return cores if there is None else max(1, min(cores, there // _PROCESS_BYTES))


processes_option = click.option(
    "--workers", type=click.IntRange(min=1), default=_processes, show_default="all cores, one for each free GB",
    help="Processes that share the work.",
)  # fmt: skip


def with_timing_options(function: F) -> F:
    """Add ``--timing-sample`` and ``--workers``."""
    sample = click.option(
        "--timing-sample", type=Share(), help="Time this share of the steps only (1%); the interval is stated."
    )
    return sample(workers_option(function))


def describe_sample(figures: Mapping[str, Any]) -> str:
    """Describe how many steps were timed and how sure the mean is."""
    mean, half = figures["mean_step_ns"], figures["half_width_ns"]
    return (
        f"timed {figures['steps_timed']:,} of {figures['of_steps']:,} steps: mean step {mean:,.4g} +- {half:.2g} ns "
        f"({figures['confidence']:.0%} confidence; other steps show the mean of their stratum)"
    )
