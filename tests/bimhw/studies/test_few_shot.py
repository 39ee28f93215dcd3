"""Few-shot learning: the readout's integers against a plain twin, what the rows say, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from bimhw.models.io import save_model
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyNet
from bimhw.runs.learn_rule import RuleMachine
from bimhw.studies.few_shot import few_shot, only
from bimhw.tasks import load_task
from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRACE, random_word
from simulator.function.run import recorded_spikes
from simulator.plasticity.rules.loihi import Trace
from simulator.plasticity.rules.rule_file import read_rules

SAMPLES = 4


def test_prototypes_equal_their_plain_twin(tmp_path: Path) -> None:
    """From the spikes of the hidden layer alone, in Python's integers: traces, then rows of the labelled class."""
    task = load_task("digits", whole=True)
    file = tmp_path / "net.safetensors"
    save_model(LeakyNet(LeakyConfig(n_in=64, hidden=(6,), n_out=10, input_scale=1 / 16), 0), file)
    program = bimhw.compile(file, "loihi2", task=task).program
    program = replace(
        program,
        projections=tuple(
            replace(q, weights=np.zeros_like(q.weights)) if q.target == "readout" else q for q in program.projections
        ),
    )
    machine = RuleMachine(program, read_rules("prototype"), task, seed=3)
    (learning,) = machine.learning
    lengths = []
    for k in range(SAMPLES):
        machine.sample(task.train.x[k], int(task.train.y[k]))
        lengths.append(machine.simulation.state.step)
    sent_in_all = recorded_spikes(machine.simulation.record)
    ids, steps = sent_in_all.ids, np.repeat(np.arange(lengths[-1]), np.diff(sent_in_all.ptr)[: lengths[-1]])
    first, trace = learning.source.first, Trace(16, 4)
    want = np.zeros((6, 10), int)
    for k in range(SAMPLES):
        begin, x = (lengths[k - 1] if k else 0), [0] * 6
        for t in range(begin, lengths[k]):
            sent = set(ids[steps == t - 1].tolist()) if t > begin else set()
            for j in range(6):
                r = int(random_word(3, t, first + j, STREAM_TRACE + 512 * 8 * learning.number))
                x[j] = (x[j] * trace.decay_word + (r & 0xFFFF)) >> 16
                if first + j in sent:
                    x[j] += (trace.impulse_word + ((r >> 16) & 0xFF)) >> 8
                x[j] = min(x[j], 127)
            at = t - begin - machine.reading.latency
            if 0 <= at < task.steps and task.loss_steps[at]:
                label = int(task.train.y[k])
                want[:, label] = [min(max(want[j, label] + x[j] - 20, -128), 127) for j in range(6)]
    assert learning.weights.reshape(6, 10).tolist() == want.tolist()
    assert (want != 0).any()


def test_rows_say_what_was_learnt_and_forgotten() -> None:
    rows = few_shot("loihi2", ("prototype",), shots=(1, 3), hidden=16, epochs=1, old_samples=30)
    assert [r.shots for r in rows] == [1, 3]
    assert rows[0].old_accuracy + rows[0].forgotten == pytest.approx(rows[1].old_accuracy + rows[1].forgotten)
    assert rows[1].energy_uj is not None and rows[1].energy_uj > 0
    assert set(only(load_task("digits").test, (2, 3)).y.tolist()) == {2, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"new": ()}, "are the classes"), ({"new": (10,)}, "are the classes"), ({"shots": (2, 1)}, "ascending numbers")],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        few_shot("loihi2", **options)
