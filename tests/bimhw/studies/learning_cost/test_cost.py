"""Memory and operations of learning: measured figures against counts by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

from bimhw.cli.main import main
from bimhw.learning.forms.blk import BlockLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.studies.learning_cost.cost import LearningCost, bptt_bytes, break_even, learning_cost, stream_memory
from simulator.base.errors import InputError
from simulator.plasticity.operations import OPERATIONS


def config(psp: str = "alpha", **options: object) -> BimConfig:
    return BimConfig(**{"n_in": 24, "hidden": (20,), "n_out": 3, "psp": psp, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
def test_sweep_counts_are_the_formula(psp: str) -> None:
    """SEQ: 18/14/11 MACs per neuron and step and 3 adds per event and neuron; history 7 words per neuron and step."""
    net = BimNet(config(psp))
    x = (torch.rand(30, 1, 24, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    learner = SweepLearner(net, 1)
    for u in x:
        learner.observe(u, torch.zeros(1, dtype=torch.int64))
    assert learner.memory_words == 7 * 30 * 20
    learner.finish()
    events = int(x.sum())
    assert learner.counts.neuron_macs == OPERATIONS[psp].sweep_macs * 20 * 30
    assert learner.counts.event_ops == 3 * 20 * events
    assert learner.counts.events == events
    assert learner.counts.dense_macs == 0


@pytest.mark.parametrize(("psp", "carry"), [("delta", 23), ("exp", 37), ("alpha", 54)])
def test_blk_does_dense_work_once_a_block(psp: str, carry: int) -> None:
    net, block = BimNet(config(psp)), 10
    x = (torch.rand(40, 1, 24, generator=torch.Generator().manual_seed(2)) < 0.2).float()
    learner = BlockLearner(net, 1, block=block)
    for u in x:
        learner.observe(u, torch.zeros(1, dtype=torch.int64))
    assert learner.counts.dense_macs == carry * 24 * 20 * 4
    assert learner.counts.event_ops == (3 + OPERATIONS[psp].words()) * 20 * int(x.sum())


@pytest.fixture(scope="module")
def cost() -> LearningCost:
    return learning_cost(config(), (16, 32, 64))


def test_dense_operations(cost: LearningCost) -> None:
    assert cost.rows[0].rtrl_ops == (31 + 3) * 24 * 20


def test_bptt_memory_grows_with_t_and_rtrl_does_not(cost: LearningCost) -> None:
    rows = cost.rows
    growth = [b.bptt_bytes - a.bptt_bytes for a, b in itertools.pairwise(rows)]
    assert growth[1] == pytest.approx(2 * growth[0], rel=0.05)
    assert len({r.rtrl_bytes for r in rows}) == 1
    assert rows[1].seq_bytes == 2 * rows[0].seq_bytes


def test_break_even_is_where_the_measurements_cross(cost: LearningCost) -> None:
    net = BimNet(config())
    t = cost.break_even_bptt
    assert t is not None

    def measured(steps: int) -> int:
        return bptt_bytes(net, (torch.rand(steps, 1, 24) < 0.1).float())

    assert measured(t) > cost.rows[0].rtrl_bytes >= measured(t - 1)
    assert break_even(lambda t: t, 10_000) is None
    assert break_even(lambda t: t, 99) == 100


def test_one_bptt_step_by_hand() -> None:
    """The matrix products alone: forward and weight gradients of three ports and the readout."""
    from bimhw.studies.learning_cost.cost import bptt_operations

    net = BimNet(config("delta"))
    counted = bptt_operations(net, torch.ones(50, 1, 24)) / 50
    products = 2 * 3 * 24 * 20 + 3 * 20 * 3
    assert products < counted < products + 70 * 20


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size, plot = ["--inputs", "8", "--hidden", "8", "--steps", "4,8"], tmp_path / "cost.svg"
    with pytest.raises(SystemExit) as done:
        main(["learning-cost", *size, "--stream", "50", "--json", "--plot", str(plot)])
    assert done.value.code == 0
    assert plot.stat().st_size > 5000
    printed = json.loads(capsys.readouterr().out)
    assert printed["trace_words_per_parameter"] == pytest.approx(4.66, abs=0.1)
    assert len({row["trace_bytes"] for row in printed["stream"]}) == 1
    with pytest.raises(InputError, match="steps"):
        learning_cost(config(), ())


@pytest.mark.long
def test_memory_is_flat_on_a_stream_of_100_000_steps() -> None:
    rows = stream_memory(BimNet(config()), 100_000)
    resident = [r for _, _, r in rows]
    assert max(resident) - min(resident) < 4 * 1024**2
    assert len({words for _, words, _ in rows}) == 1
