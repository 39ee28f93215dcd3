"""`run_events`: what a program does and when, event by event, under any synchronisation that has steps."""

from __future__ import annotations

from typing import Any, Literal

from simulator.chips.chip import Chip
from simulator.events.engine import SimpyEngine
from simulator.events.neighbours import NeighbourEngine
from simulator.function.counting import Counter
from simulator.function.run import FunctionRun, finish
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.result import TimingRun


def event_engine(
    program: Program, chip: Chip, *, sync: Literal["barrier", "tick", "neighbour"] = "barrier", **options: Any
) -> SimpyEngine:
    """Return the event-driven engine of a synchronisation (barrier, tick, neighbour); options as in `SimpyEngine`.

    Raises:
        InputError: as `SimpyEngine` and `NeighbourEngine`.
    """
    if sync == "neighbour":
        return NeighbourEngine(program, chip, **options)
    return SimpyEngine(program, chip, sync=sync, **options)


def run_events(
    program: Program,
    chip: Chip,
    inputs: SpikeTrain,
    steps: int,
    **options: Any,
) -> tuple[FunctionRun, TimingRun]:
    """Simulate a program event by event: what it did and when; options as in `SimpyEngine`.

    Raises:
        InputError: as `SimpyEngine` and `SimpyEngine.advance`.
    """
    engine = event_engine(program, chip, graded_inputs=inputs.payload is not None, **options)
    engine.advance(inputs, steps)
    return finish(engine, Counter(program, chip.topology)), engine.timing()
