"""`--device`: one message for what is not there; all that a device would do gives the CPU loops' results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import bimhw
from bimhw.cli.main import main
from bimhw.learning.checkpoints import Saved
from bimhw.learning.device import check_device, placed, torch_device
from bimhw.learning.recipe import recipe
from bimhw.learning.settings import TrainSettings
from bimhw.learning.train import train
from bimhw.learning.updater import clipped
from bimhw.models.bim.loops import without_loops
from bimhw.models.nets import build
from bimhw.tasks import load_task
from simulator.base.errors import InputError


def test_what_is_not_here_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere", "meta", *([] if torch.cuda.is_available() else ["cuda"])):
        with pytest.raises(InputError, match=rf"device {name}: is not on this machine\. Devices here: cpu"):
            torch_device(name)
    with pytest.raises(SystemExit) as done:
        main(["train", "digits", "--device", "nowhere", "-o", str(tmp_path / "m.pt")])
    assert done.value.code == 2 and "device nowhere" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="device nowhere"):
        bimhw.finetune("m.pt", device="nowhere")


@pytest.mark.parametrize(
    "settings",
    [{"rule": "stdp"}, {"rule": "eventprop"}, {"form": "lazy", "batch": 1, "optimiser": "sgd"}, {"prune": 0.5}],
)
def test_rules_that_stay_on_the_cpu_say_so(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="runs on the CPU"):
        check_device(TrainSettings(**settings), torch.device("cuda"))  # type: ignore[arg-type]
    check_device(TrainSettings(**settings), torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["bptt", "rtrl", "seq"])
def test_plain_operations_train_as_the_loops(rule: str) -> None:
    """What runs on a device are the plain operations: here on the CPU, where the loops give the same to rounding."""
    whole = load_task("digits")
    task = replace(whole, train=whole.train.take(slice(0, 48)))
    plan = recipe(task, hidden=(6,), epochs=1, batch=16, rule=rule)
    loops = train(task, plan.config, plan.settings, plan.init)
    with without_loops():
        plain = train(task, plan.config, plan.settings, plan.init)
    for (name, a), b in zip(loops.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4, msg=name)


def test_containers_move_whole() -> None:
    value = {"a": [torch.zeros(2), (torch.ones(1), 3)], "b": "text"}
    moved = placed(value, torch.device("meta"))
    assert moved["a"][0].device.type == moved["a"][1][0].device.type == "meta"
    assert moved["a"][1][1] == 3 and moved["b"] == "text"
    assert placed(value, torch.device("cpu"))["a"][0] is value["a"][0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card")
def test_a_card_trains_and_resumes(tmp_path: Path) -> None:
    task = load_task("digits")
    plan = recipe(task, hidden=(8,), epochs=1, rule="bptt")
    done = train(task, plan.config, plan.settings, plan.init, device="cuda", saved=Saved(tmp_path / "c.pt"))
    assert done.device == "cuda" and done.final.accuracy > 0.2
    again = train(task, plan.config, plan.settings, plan.init, device="cuda", saved=Saved(tmp_path / "c.pt", True))
    assert again.final.accuracy == done.final.accuracy


def test_gradients_are_clipped() -> None:
    """A direction shorter than the limit stays; a longer one keeps its direction."""
    g = torch.tensor([3.0, 4.0])
    assert clipped(g, 0.0) is g and torch.equal(clipped(g, 6.0), g)
    torch.testing.assert_close(clipped(g, 1.0), torch.tensor([0.6, 0.8]))
    assert torch.equal(clipped(torch.zeros(2), 1.0), torch.zeros(2))
    with pytest.raises(InputError, match="clip"):
        TrainSettings(clip=-1.0)
    with pytest.raises(InputError, match="clip"):
        TrainSettings(form="lazy", batch=1, optimiser="sgd", clip=1.0)


@pytest.mark.parametrize("rule", ["bptt", "rtrl"])
def test_every_rule_clips(rule: str) -> None:
    whole = load_task("digits")
    task = replace(whole, train=whole.train.take(slice(0, 16)))
    moved = []
    for clip in (0.0, 1e-3):
        plan = recipe(task, hidden=(6,), epochs=1, batch=16, rule=rule, optimiser="sgd", lr=1.0, clip=clip)
        trainer = bimhw.Trainer(build(plan.config, 0, plan.init), task, plan.settings)
        before = trainer.updater.parameters.values.clone()
        trainer.epoch(1, lambda _: None)
        moved.append(float((trainer.updater.parameters.values - before).norm()))
    assert moved[0] > 0.01 and moved[1] <= 1e-3 * trainer.updater.updates * 1.01
