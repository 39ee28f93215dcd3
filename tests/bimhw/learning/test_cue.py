"""Cue accumulation: e-prop with adapting neurons bridges the delay, without them it does not."""

from __future__ import annotations

import pytest

from bimhw.learning.recipe import recipe
from bimhw.learning.train import train
from bimhw.tasks import load_task


@pytest.mark.long
def test_eprop_learns_cue_by_neurons_that_adapt() -> None:
    task, found = load_task("cue", cues=3, delay_ms=200, longest_delay_ms=200), {}
    for jump in (0.2, 0.0):
        options = {"recurrent": True, "adapt_jump": jump, "adapt_keep": 0.98, "gain_rec": 1.0, "clip": 1.0}
        plan = recipe(task, None, 0, "leaky", rule="e-prop", epochs=3, lr=0.002, **options)
        found[jump] = train(task, plan.config, plan.settings, plan.init).final.accuracy
    assert found[0.2] > 0.9
    assert found[0.2] > found[0.0] + 0.1
