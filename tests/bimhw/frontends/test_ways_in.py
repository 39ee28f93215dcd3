"""Files that hold no network are refused with one message that says the way in."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

import bimhw
from bimhw.cli.commands.chips import command
from bimhw.cli.main import cli
from simulator.base.errors import InputError
from simulator.chips.load import load_chip


@pytest.mark.parametrize(
    "name", ["net.pkl", "net.onnx", "net.pt2", "net.pth", "net.h5", "net.py", "net.py:make", "NET.ONNX"]
)
def test_a_file_of_another_kind_says_the_way_in(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"sample=x.*\.nir"):
        bimhw.compile(tmp_path / name)


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model_state_dict": s, "epoch": 3}]
)
def test_a_bare_state_dict_says_that_the_graph_is_missing(tmp_path: Path, wrap: object) -> None:
    state = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).state_dict()
    torch.save(wrap(state), tmp_path / "net.pt")  # type: ignore[operator]
    with pytest.raises(InputError, match=r"bare state_dict.*without the graph.*sample=x"):
        bimhw.compile(tmp_path / "net.pt")
    save_file(dict(state), tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=r"without the graph.*sample=x"):
        bimhw.compile(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    "command", ["compile", "fit", "nir show", "nir check --data x.npz", "nir run", "sweep --db s.sqlite"]
)
@pytest.mark.parametrize("name", ["module.pt", "script.pt", "state.pt", "net.onnx", "arrays.npz"])
def test_every_command_says_the_way_in(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Linear(4, 3))
    np.savez("x.npz", x=np.zeros((2, 2, 4)), out=np.zeros((2, 2, 3)))
    if name == "script.pt":
        with warnings.catch_warnings(action="ignore"):
            torch.jit.save(torch.jit.trace(net, torch.zeros(1, 4)), name)
    elif name == "arrays.npz":
        np.savez(name, **{k: v.numpy() for k, v in net.state_dict().items()})
    else:
        torch.save(net if name == "module.pt" else net.state_dict(), name)
    first, _, option = command.partition(" --")
    done = CliRunner().invoke(cli, [*first.split(), name, *(f"--{option}".split() if option else [])])
    told = str(done.exception)
    assert isinstance(done.exception, InputError) and name in told, told
    assert ("bimhw fit, compile" if name == "arrays.npz" and "nir" in first else "sample=x") in told
    assert not Path("s.sqlite").exists()


@pytest.mark.parametrize("name", ["net.nir", "net.npz", "net.pth", "net.bimhw"])
def test_what_cannot_be_fine_tuned_is_said_before_the_output(name: str, tmp_path: Path) -> None:
    """The name of the output is no matter where nothing could be written: "Rename it" was the answer."""
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"sample=x|Fine-tune it there"):
        bimhw.finetune(tmp_path / name, output=tmp_path / "tuned.nir")


@pytest.mark.parametrize("like", ["loihi1", "loihi2", "odin", "generic"])
def test_a_new_chip_is_the_one_it_was_started_from(tmp_path: Path, like: str) -> None:
    path = tmp_path / "mine.yaml"
    done = CliRunner().invoke(command, ["new", str(path), "--like", like])
    assert done.exit_code == 0, done.output
    chip, old = load_chip(str(path)), load_chip(like)
    assert chip.name == "mine" and like in chip.title
    assert (chip.limits, chip.timing, chip.energy, chip.topology) == (old.limits, old.timing, old.energy, old.topology)
    assert path.read_text().startswith("# mine: a chip of your own")
    again = CliRunner().invoke(command, ["new", str(path), "--like", like])
    assert again.exit_code != 0 and "there already" in str(again.exception)
