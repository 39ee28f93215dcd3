"""Times of two engines beside each other."""

from __future__ import annotations

import numpy as np

from simulator.timing.result import TimingRun

_ARRAYS = ("step_ticks", "messages", "soma_busy_ticks", "synapse_busy_ticks", "soma_stall_ticks", "link_busy_ticks")


def check_same_times(found: TimingRun, due: TimingRun) -> None:
    """Assert that two runs took the same time, step by step and core by core."""
    for name in _ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(due, name), err_msg=name)
