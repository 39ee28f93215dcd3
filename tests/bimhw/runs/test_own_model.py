"""A float model beside a run must be the program's own: another one is refused, a copy with other bytes is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bimhw
from bimhw.models.stack import LI, LIF, Stack
from bimhw.runs.own_model import check_own_model
from simulator.base.errors import InputError

pytest.importorskip("nir")
X = (np.random.default_rng(0).random((3, 8, 1, 6, 6)) < 0.4).astype(np.int32)


def conv(seed: int, hidden: int = 5, keep: float = 0.8) -> Stack:
    torch.manual_seed(seed)
    return Stack(
        nn.Conv2d(1, 2, 3, bias=False), LIF(keep), nn.Flatten(), nn.Linear(32, hidden, bias=False), LIF(0.8),
        nn.Linear(hidden, 3, bias=False), LIF(0.8),
    )  # fmt: skip


def written(net: Stack, path: Path) -> Path:
    import nir

    bimhw.export_nir(net, path, input_shape=(1, 6, 6))
    graph = nir.read(path)
    graph.metadata["note"] = path.name
    nir.write(path, graph)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    nets = {"own": conv(0), "copy": conv(0), "trained": conv(1), "leakier": conv(0, keep=0.79), "wider": conv(0, 6)}
    return {name: written(net, folder / f"{name}.nir") for name, net in nets.items()}


@pytest.mark.parametrize("options", [{"bits": 4}, {"per_row": True, "free_scales": True}])
def test_only_the_own_network_is_compared(options: dict[str, object], files: dict[str, Path], tmp_path: Path) -> None:
    assert files["own"].read_bytes() != files["copy"].read_bytes()
    program = bimhw.compile(files["own"], calibration=X.reshape(3, 8, 36), mapping="blocks", **options).program
    check_own_model(program, files["own"])
    check_own_model(program, files["copy"])
    with pytest.raises(InputError, match="another network than the one that was compiled: the stored weights of"):
        check_own_model(program, files["trained"])
    with pytest.raises(InputError, match="parameter 'keep' of population '1' is another"):
        check_own_model(program, files["leakier"])
    with pytest.raises(InputError, match="has 6 neurons, the program's 5 neurons"):
        bimhw.simulate(program, model=files["wider"], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_threshold_that_is_never_reached_can_be_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Stack(nn.Linear(36, 4, bias=False), LI(0.8), input_shape=(36,))
    program = bimhw.compile(net, calibration=X.reshape(3, 8, 36), mapping="blocks").program
    assert program.facts.neurons
    program.save(tmp_path / "p.bimhw")
    assert bimhw.Program.load(tmp_path / "p.bimhw").sha256() == program.sha256()
