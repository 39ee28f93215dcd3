"""`bimhw verify --model --data`: a user's own network on the user's own data; each check can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.evidence.crosscheck.brian import TwinRun
from bimhw.models.stack import LIF, Stack
from mapping.network import Network
from simulator.base.errors import InputError


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    pytest.importorskip("nir")
    folder = tmp_path_factory.mktemp("own")
    torch.manual_seed(1)
    net = Stack(torch.nn.Linear(6, 8), LIF(keep=0.875), torch.nn.Linear(8, 3), LIF(keep=0.75))
    for layer in (net[0], net[2]):
        torch.nn.init.uniform_(layer.weight, 0, 1)
    bimhw.export_nir(net, folder / "net.nir")
    x = (torch.rand(12, 3, 6) < 0.4).double()
    out = net.double().run(x).detach().numpy()
    np.savez(folder / "data.npz", x=x.numpy(), out=out)
    return folder / "net.nir", folder / "data.npz"


def _verify(model: Path, data: Path, *more: str) -> tuple[int, dict[str, dict[str, object]]]:
    done = CliRunner().invoke(cli, ["verify", "--model", str(model), "--data", str(data), "--json", *more])
    return done.exit_code, {c["name"]: c for c in json.loads(done.stdout)["checks"]}


def test_a_network_of_ones_own_is_checked_alone(own: tuple[Path, Path]) -> None:
    code, checks = _verify(*own)
    assert code == 0 and len(checks) == 3
    assert {c["status"] for c in checks.values()} <= {"pass", "skipped"}
    assert checks["own network: framework"]["value"] == 0 and checks["own network: chip"]["value"] == 0


def test_one_sample_is_enough(own: tuple[Path, Path], tmp_path: Path) -> None:
    with np.load(own[1]) as held:
        np.savez(tmp_path / "one.npz", x=held["x"][:, :1])
    code, checks = _verify(own[0], tmp_path / "one.npz", "--only", "own network: chip")
    assert code == 0 and checks["own network: chip"]["value"] == 0


def test_recorded_outputs_that_differ_fail(own: tuple[Path, Path], tmp_path: Path) -> None:
    with np.load(own[1]) as held:
        x, out = held["x"], held["out"].copy()
    out[5, 1, 2] += 1
    np.savez(tmp_path / "wrong.npz", x=x, out=out)
    code, checks = _verify(own[0], tmp_path / "wrong.npz", "--only", "own network: framework")
    assert code == 1 and checks["own network: framework"]["value"] == 1


def test_an_engine_that_computes_something_else_fails(own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from bimhw.runs import simulate as module

    right = module.simulate

    def wrong(*args: object, **options: object) -> object:
        run = right(*args, **options)  # type: ignore[arg-type]
        if options["engine"] == "events":
            run.outputs["values"][0, 0, 0] += 1
        return run

    monkeypatch.setattr(module, "simulate", wrong)
    code, checks = _verify(*own, "--only", "own network: chip")
    assert code == 1 and checks["own network: chip"]["value"] == 1


def test_a_step_of_the_neuron_that_brian2_does_not_take_fails(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("brian2", reason="needs the extra brian2")
    from bimhw.evidence.crosscheck import check

    right = check.run_brian

    def wrong(network: Network, *args: Any, **options: Any) -> TwinRun:
        louder = tuple(replace(q, weights=2 * np.asarray(q.weights)) for q in network.projections)
        return right(replace(network, projections=louder), *args, **options)

    monkeypatch.setattr(check, "run_brian", wrong)
    code, checks = _verify(*own, "--only", "own network: Brian2")
    assert code == 1 and checks["own network: Brian2"]["status"] == "FAIL"


def test_a_model_without_its_data_is_one_message(own: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="Give both --model and --data"):
        bimhw.verify(model=own[0])
