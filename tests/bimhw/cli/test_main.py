"""The command itself: groups, near names, versions, errors as JSON, progress without a terminal."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import bimhw
from bimhw.cli import heartbeat, output
from bimhw.cli.main import GROUPS, cli, main
from bimhw.cli.output import echo, print_table
from bimhw.views.figure import save_figure
from simulator.base.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


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


def test_chips_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["chips"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and all(name in said for name in ("loihi2", "xylo", "8,192"))


@pytest.mark.parametrize("group", ["data", "nir"])
def test_a_group_without_a_command_lists_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([group])
    said = "".join(capsys.readouterr())
    assert "Error" not in said and said.count("Usage:") <= 1


@pytest.mark.parametrize("model", [".", "..", "/", ""])
def test_a_model_without_a_name_is_one_message(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["compile", model, "--chip", "loihi2"])
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("bimhw: ")
    assert not list(tmp_path.iterdir())


def _all_commands(group: click.Group = cli) -> Iterator[click.Command]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield from _all_commands(command) if isinstance(command, click.Group) else [command]


def test_every_picture_has_its_ending_checked_before_the_work(tmp_path: Path) -> None:
    found = 0
    for command in _all_commands():
        for option in command.params:
            if isinstance(option.type, output.OutputFile) and ".png" in str(getattr(option, "help", "")):
                found += 1
                with pytest.raises(InputError, match=r"must end in \.png, \.svg or \.pdf"):
                    option.type.convert(str(tmp_path / "x.gif"), option, None)
                with pytest.raises(InputError, match="does not exist"):
                    option.type.convert(str(tmp_path / "none" / "x.png"), option, None)
    assert found >= 10
    with pytest.raises(InputError, match="must end in"):
        save_figure(None, tmp_path / "x.gif")


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "no-such-model.pt", "--json"])
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert ended.value.code == 2 and error["where"] in said.err and error["kind"] == "InputError"


@pytest.mark.parametrize(
    "line",
    ["fit --nope x", "fit", "fit x.pt --chips 0", "simulate x.bimhw --engine compield", "nir shwo x", "bogus x"],
)
def test_wrong_arguments_are_json_too(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*line.split(), "--json"])
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert ended.value.code == 2 and error.keys() == {"kind", "where", "problem", "way_out"}
    assert error["kind"] == "UsageError" and error["problem"] in said.err and error["where"].startswith("bimhw")


def test_an_error_of_the_system_is_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "somewhere.yaml")

    monkeypatch.setattr("simulator.chips.listing.list_chips", refuse)
    monkeypatch.setattr("bimhw.cli.main._discard_output", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main(["chips", "--json"])
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert ended.value.code == 2 and (error["kind"], error["where"]) == ("OSError", "somewhere.yaml")
    assert "somewhere.yaml: cannot be read or written (Permission denied)" in said.err


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("chips show loihi3", "loihi2"),
        ("train digit -o x.pt", "digits"),
        ("train digits --rule rtlr", "rtrl"),
        ("train digits --preset demoo", "demo"),
        ("train digits --set refractry=2", "refractory"),
        ("schema simulat", "simulate"),
        ("fit {model} --chip lohi2", "loihi2"),
        ("fit {model} --chip LOIHI2", "'loihi2' or"),
        ("nir shwo x", "show"),
        ("data lst", "list"),
    ],
)
def test_a_near_value_is_offered(line: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.format(model=ROOT / "examples" / "digits.safetensors").split())
    said = capsys.readouterr().err
    assert ended.value.code == 2 and meant in said[said.index("Did you mean") :].partition("?")[0]


def test_the_list_of_commands_is_whole_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.partition("Start:")[2]
    assert "..." not in listed
    assert (
        len([line for line in listed.splitlines() if line.strip()]) <= sum(map(len, GROUPS.values())) + len(GROUPS) + 12
    )


def test_long_work_logs_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with output.progress("working", 10) as advance:
        advance(1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(heartbeat, "LOG_SECONDS", 0.0)
    with output.progress("working", 10) as advance:
        advance(4)
    assert "working: 4 of 10 samples after 0 s" in capsys.readouterr().err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _logged(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO) -> tuple[threading.Event, list[str]]:
    """Return what is set once a line is logged, and the lines."""
    logged, told = threading.Event(), list[str]()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(heartbeat, "LOG_SECONDS", 0.01)

    def log(message: str) -> None:
        told.append(message)
        logged.set()

    monkeypatch.setattr(heartbeat, "log", log)
    return logged, told


def test_a_silent_command_logs_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    logged, told = _logged(monkeypatch, io.StringIO())
    with heartbeat.heartbeat("fit"):
        assert logged.wait(60)
    assert told[0].startswith("fit: at work for ")


def test_progress_keeps_the_heartbeat_still() -> None:
    heartbeat.log("working: 4 of 10 samples after 10 s")
    assert heartbeat._due[0] - time.monotonic() > heartbeat.LOG_SECONDS


def test_a_terminal_is_told_of_named_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other work shows a bar there, which a line would tear."""
    logged, told = _logged(monkeypatch, _Terminal())
    with heartbeat.heartbeat("fit"):
        assert not logged.wait(0.1)
        heartbeat.doing("row 1")
        assert logged.wait(60)
    assert told[0].startswith("fit: row 1: at work for ")


WIDE = [(f"layer{k}.feature", "a table has long words", 0.123456, f"{k},000", "unknown") for k in range(3)]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_never_breaks_a_word(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("a title", ("name", "what it says", "accuracy", "neurons", "limit"), WIDE)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    words = {w for line in lines for w in re.split(r"[\s│┃]+", line) if w and not set(w) & set("━┏┓┡┩└┘─┴┳╇")}
    asked = {w for row in WIDE for cell in row for w in (cell if isinstance(cell, str) else "0.1235").split()}
    assert words <= asked | {
        *["a", "title,", "continued", "name", "what", "it", "says", "accuracy", "neurons", "limit", "title"]
    }
    assert sum("layer1.feature" in line for line in lines) == (2 if width == 40 else 1)


def test_a_word_longer_than_a_column_can_be_is_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table("files", ("file", "size"), [("/a" * 60, 3)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60 and "".join("".join(line.split("│")[1:2]).strip() for line in lines) == "/a" * 60


def test_what_a_terminal_would_obey_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of folders come from others, as those of files do."""
    name = "a\x1b[31m\u202e"
    (tmp_path / name).mkdir()
    (tmp_path / name / "manifest.json").write_text("{}")
    with pytest.raises(SystemExit):
        main(["serve", str(tmp_path), "--list"])
    print_table(name, (name, "b"), [(name, 1)])
    echo(name, err=True)
    printed = "".join(capsys.readouterr())
    assert printed.count("\\x1b[31m\\u202e") >= 5
    assert all(c.isprintable() or c == "\n" for c in printed)
