"""A long run in pieces writes the bytes of a run in one piece, in memory that does not grow with its steps."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from bimhw.runs import long_samples, pieces
from bimhw.runs.long_samples import ScoreFold
from bimhw.runs.outputs import reduce
from bimhw.runs.simulate import SimulationResult, simulate
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from simulator.base.spool import Spool
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from tests.bimhw.frontends.test_nir_reader import write_raw
from tests.bimhw.runs.test_several_ends import two_ended

CHANNELS, STEPS = 4, 30


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    path = tmp_path_factory.mktemp("pieces") / "net.safetensors"
    save_model(BimNet(BimConfig(n_in=CHANNELS, hidden=(4, 3), n_out=3, input_scale=0.25), 0), path)
    return compile(path, chip="generic").program


@pytest.fixture(scope="module")
def fires(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Return a program whose outputs fire, so that their spikes can decide."""
    nodes: Any = {
        "input": ("Input", {"shape": np.array([CHANNELS])}),
        "w": ("Linear", {"weight": np.random.default_rng(4).integers(-10, 40, (3, CHANNELS)) / 32}),
        "a": ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)}),
        "output": ("Output", {"shape": np.array([3])}),
    }
    path = tmp_path_factory.mktemp("pieces") / "fires.nir"
    return compile(
        write_raw(path, nodes, [("input", "w"), ("w", "a"), ("a", "output")]), chip="generic", dt=1.0
    ).program


def _data(samples: int, steps: int = STEPS, labels: bool = True, binary: bool = False) -> Dataset:
    rng = np.random.default_rng(samples)
    x = rng.integers(-3, 4, (samples, steps, CHANNELS)) * (rng.random((samples, steps, CHANNELS)) < 0.3)
    first = samples if binary else samples // 2
    x[:first] = np.clip(x[:first], 0, 1)  # the first pieces are binary, the later ones are not
    return Dataset(x.astype(np.int16), rng.integers(0, 3, samples) if labels else None, layout="bt")


def _both(
    monkeypatch: pytest.MonkeyPatch, folder: Path, piece: int, program: Program, **how: Any
) -> tuple[SimulationResult, SimulationResult]:
    whole = simulate(program, output=folder / "whole", **how)
    for module in (pieces, long_samples):
        monkeypatch.setattr(module, "PIECE_STEPS", piece)
    return whole, simulate(program, output=folder / "pieces", **how)


def _same(whole: SimulationResult, long: SimulationResult) -> None:
    names = sorted(p.name for p in whole.folder.iterdir())
    assert names == sorted(p.name for p in long.folder.iterdir())
    assert [n for n in names if (whole.folder / n).read_bytes() != (long.folder / n).read_bytes()] == []
    assert isinstance(long.outputs, long_samples.StoredOutputs) and whole.result == long.result
    assert {k: v.tolist() for k, v in whole.outputs.items()} == {k: v.tolist() for k, v in long.outputs.items()}


WAYS: Mapping[str, dict[str, Any]] = {
    "barrier": {},
    "threads": {"workers": 3},
    "one thread": {"workers": 1, "seed": 5},
    "none": {"engine": "none"},
    "bound": {"engine": "bound"},
    "neighbours": {"sync": "neighbour"},
    "ticks": {"sync": "tick", "period_ns": 400.0},
    "count": {"decode": "count"},
    "first": {"decode": "first"},
    "max": {"decode": "max"},
}
BY_SPIKES = ("count", "first")


@pytest.mark.parametrize("way", WAYS)
def test_samples_in_pieces(
    way: str, program: Program, fires: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = fires if way in BY_SPIKES else program
    _same(*_both(monkeypatch, tmp_path, 70, chosen, data=_data(7, binary=way in BY_SPIKES), **WAYS[way]))


@pytest.mark.parametrize("way", ["barrier", "none", "bound", "count", "first", "max"])
def test_long_samples_in_pieces(
    way: str, program: Program, fires: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = fires if way in BY_SPIKES else program
    _same(*_both(monkeypatch, tmp_path, 23, chosen, data=_data(3, 97, binary=way in BY_SPIKES), **WAYS[way]))


def test_a_task_and_own_inputs_in_pieces(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    inputs = SpikeTrain.from_dense(np.random.default_rng(0).integers(0, 2, (100, CHANNELS)))
    meta = {k: v for k, v in program.meta.items() if k != "task"}
    own = replace(program, inputs=inputs, meta=meta)
    _same(*_both(monkeypatch, tmp_path, 33, own))


@pytest.mark.parametrize("piece", [20, 7])
def test_several_outputs_in_pieces(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).integers(0, 2, (6, 12, 5)).astype(np.int16)
    program = compile(two_ended(tmp_path / "g.nir"), chip="generic", dt=1.0).program
    _same(*_both(monkeypatch, tmp_path, piece, program, data=Dataset(x, layout="bt")))


def test_memory_is_flat_in_steps(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pieces, long_samples):
        monkeypatch.setattr(module, "PIECE_STEPS", 600)
    held: list[int] = []
    how: dict[str, Any] = {"engine": "none", "workers": 1}
    simulate(program, data=_data(40), output=tmp_path / "warm", **how)
    tracemalloc.start()
    try:
        simulate(
            program,
            data=_data(150),
            output=tmp_path / "run",
            progress=lambda _: held.append(tracemalloc.get_traced_memory()[0]),
            **how,
        )
    finally:
        tracemalloc.stop()
    assert len(held) > 5
    assert (
        held[-1] - held[1] < 40_000
    )  # bytes over some 4,000 steps, scores and times of samples among them; 750 a step before


@pytest.mark.parametrize("how", ["count", "first", "membrane", "max"])
def test_scores_of_parts_are_those_of_the_whole(how: Any) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        steps = int(rng.integers(1, 40))
        values = rng.integers(-3, 4, (1, steps, 3)) * (rng.random((1, steps, 3)) < 0.2) / 8.0
        window = tuple(sorted(rng.choice(steps, min(steps, 3), replace=False).tolist()))
        fold = ScoreFold(how, window)
        for part in np.array_split(values[0], int(rng.integers(1, 6))):
            if len(part):
                fold.add(part)
        assert (fold.scores() == reduce(values, how, window)[0]).all()


def test_a_spool_keeps_its_rows() -> None:
    spool, rows = Spool(np.int32, (3,), each=4), np.arange(240, dtype=np.int32).reshape(-1, 3)
    for part in np.split(rows, [7, 7, 30]):
        spool.add(part)
        assert spool.read(0, 5).shape == (5, 3)
    spool.fill(9, 4)
    assert spool.shape == (21, 4, 3) and (spool.array()[:20].reshape(-1, 3) == rows).all()
    assert (spool.array()[20] == 9).all()


def test_a_spool_says_where_the_disk_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        Spool(np.int32, folder=tmp_path / "missing")
