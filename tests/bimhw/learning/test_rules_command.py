"""Every rule with every credit rule by `bimhw train`, and every network so trained through `bimhw compile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw.cli.main import main
from bimhw.learning.rules.registry import forms

RULES = ("rtrl", *(name for name in forms() if name != "dense"), "hybrid", "stdp", "bptt", "frozen")
CREDITS = ("filt-win", "filt-inst", "inst", "direct", "dfa", "local", "exact")
# rule -> credit rules that it cannot have, with a word of the message
REFUSED: dict[str, dict[str, str]] = {
    "rtrl": {"exact": "form seq"},
    "hybrid": {"exact": "form seq"},
    "stdp": {"exact": "form seq"},
    "seq": {"inst": "filt-inst"},
    "tr": {"inst": "filt-inst"},
    "blk": {"inst": "filt-inst"},
    "lazy": dict.fromkeys(("filt-win", "filt-inst", "inst", "exact"), "direct"),
}
CASES = [(rule, credit) for rule in RULES if rule not in ("bptt", "frozen") for credit in CREDITS]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--json"])
    assert isinstance(done.value.code, int)
    return done.value.code, *capsys.readouterr()


def train_and_compile(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[str, Any]:
    model = str(folder / "m.safetensors")
    code, out, err = run(capsys, "train", "digits", "--epochs", "1", "-o", model, *options)
    assert code == 0, err
    compiled, _, err = run(capsys, "compile", model, "--mapping", "blocks", "-o", str(folder / "m.bimhw"))
    assert compiled == 0, err
    found: dict[str, Any] = json.loads(out)
    assert np.isfinite(found["test_loss_nats"])
    assert found["sequences"] == 64, "the small task is the one that was trained"
    return found


def of(rule: str) -> list[str]:
    return ["--rule", rule, *(["--batch", "1", "--optimiser", "sgd"] if rule == "lazy" else [])]


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(("rule", "credit"), CASES)
def test_stack(rule: str, credit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*of(rule), "--credit", credit, "--hidden", "6,5", "--dense-readout", "--psp", "delta"]
    if credit in REFUSED.get(rule, {}):
        code, _, err = run(capsys, "train", "digits", "--epochs", "1", "-o", str(tmp_path / "m.pt"), *options)
        assert code == 2
        assert REFUSED[rule][credit] in err
        assert not list(tmp_path.iterdir())
    else:
        train_and_compile(capsys, tmp_path, *options)


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", [["diag"], ["s6", "--states", "2"]], ids=["diag", "s6"])
def test_one_layer(rule: str, kind: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*of(rule), "--hidden", "6", "--kind", *kind]
    if kind[0] == "s6" and rule in ("blk", "lazy"):
        code, _, err = run(capsys, "train", "digits", *options)
        assert code == 2
        assert "seq, tr or rtrl" in err
    else:
        train_and_compile(capsys, tmp_path, *options)


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    "options",
    [
        ["--rule", "stdp", "--third-factor", "reward", "--zero-drift", "--pairing", "nearest", "--w-max", "1"],
        ["--rule", "hybrid", "--lambda", "0", "--kappa", "0.1"],
        ["--rule", "hybrid", "--lambda", "1", "--set", "refractory=2", "--set", "detach_reset=no"],
        ["--set", "adapt_beta=0.2", "--readout", "membrane", "--delays", "0,2", "--reset", "hard"],
        ["--set", "learn_a_log=yes", "--psp", "exp", "--set", "tau_s=3", "--surrogate", "triangle"],
    ],
)
def test_options(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_and_compile(capsys, tmp_path, "--hidden", "6", *options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--set", "thetaa=1"], "thetaa"),
        (["--set", "theta"], "NAME=VALUE"),
        (["--set", "theta=-1"], "theta"),
        (["--zero-drift"], "hybrid and stdp"),
        (["--rule", "seq", "--third-factor", "reward"], "hybrid and stdp"),
        (["--rule", "hybrid", "--lambda", "1.5"], "lam"),
    ],
)
def test_wrong_options(options: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", "digits", *options)
    assert code == 2
    assert word in err
