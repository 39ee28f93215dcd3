"""The command itself: groups, near names, versions, errors as JSON, progress without a terminal."""

from __future__ import annotations

import json

import click
import pytest

import bimhw
from bimhw.cli import output
from bimhw.cli.main import GROUPS, cli, main


def test_every_command_is_in_one_group() -> None:
    named = [name for names in GROUPS.values() for name in names]
    assert sorted(named) == cli.list_commands(click.Context(cli))


@pytest.mark.parametrize(("typed", "meant"), [("compiel", "compile"), ("simulat", "simulate"), ("swep", "sweep")])
def test_a_near_name_is_offered(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([typed])
    assert ended.value.code == 2 and f"Did you mean {meant}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option])
    assert ended.value.code == 0 and bimhw.__version__ in capsys.readouterr().out


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "no-such-model.pt", "--json"])
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert ended.value.code == 2 and error["where"] in said.err and error["kind"] == "InputError"


def test_long_work_logs_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with output.progress("working", 10) as advance:
        advance(1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(output, "LOG_SECONDS", 0.0)
    with output.progress("working", 10) as advance:
        advance(4)
    assert "working: 4 of 10 after 0 s" in capsys.readouterr().err
