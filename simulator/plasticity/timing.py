"""When learning happens: the compiled (or any other) timing of what a learner did, its learning phases included."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.function.run import recorded_spikes
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.learner import Learner
from simulator.program.spikes import window
from simulator.timing.run import TimingRun, run_timing


def time_learning(learner: Learner, chip: Chip, steps: range | None = None, **options: Any) -> TimingRun:
    """Time chip steps of a learner that ran function first.

    Each core's learning phase takes the time of the synaptic words that it touched in the step. Synapses keep their place
    in memory while they learn, so a packet also visits those that pruning has switched off.

    Args:
        learner: made with ``timed=True``.
        chip: what it ran on.
        steps: chip steps to time, one after another; all by default.
        options: of `run_timing` (engine, threads, keep, mesh ...).

    Raises:
        InputError: wide words, a learner that was not made to be timed, or as `run_timing`.
    """
    forward = learner.forward
    noted = forward.active if isinstance(forward, ChipForward) else None
    if not isinstance(forward, ChipForward) or noted is None or len(noted) != learner.steps_done:
        raise InputError(
            "learner",
            "did not note what its timing needs",
            "Make it with words='chip' and timed=True, and do all in one go",
        )
    steps = range(learner.steps_done) if steps is None else steps
    if not 0 <= steps.start <= steps.stop <= learner.steps_done:
        raise InputError(f"steps {steps.start}..{steps.stop}", f"are not in the {learner.steps_done} that were done")
    spikes = window(recorded_spikes(forward.simulation.record), steps.start, steps.stop)
    stored = forward.simulation.layout.program
    packed = np.array(noted[steps.start : steps.stop], np.uint8).reshape(len(steps), -1)
    active = np.unpackbits(packed, axis=1, count=stored.n_neurons).astype(bool)
    sizes = [p.size for p in stored.populations]
    mesh, t = options.get("mesh"), chip.topology
    n_cores = t.mesh_cores if mesh is None else mesh.n_cores
    touched = learner.counts.touched(steps, stored.core, sizes, n_cores)
    return run_timing(stored, chip, spikes, learn_synapses=touched, active=active, **options)
