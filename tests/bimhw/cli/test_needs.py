"""Every option that acts only beside another is refused, in one message, where that other is missing."""

from __future__ import annotations

import inspect

import click
import pytest

import bimhw
from benchmarks.reference import twin
from bimhw.cli.main import cli, main
from simulator.base.errors import InputError
from simulator.base.needs import NEEDS, Need, parameter

_VALUES = {"integer range": "10", "integer": "10", "float": "0.5", "float range": "0.5"}


def _command(name: str) -> click.Command:
    command: click.Command = cli
    for part in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), part)
        assert found is not None, name
        command = found
    return command


def _option(command: click.Command, opt: str) -> click.Option:
    (found,) = (p for p in command.params if opt in p.opts)
    assert isinstance(found, click.Option)
    return found


def _words(command: click.Command, opt: str, but: tuple[str, ...] = ()) -> list[str]:
    """Return an option with a value of its type, a value other than `but`."""
    option = _option(command, opt)
    if option.is_flag:
        return [opt]
    if isinstance(option.type, click.Choice):
        return [opt, next(str(v) for v in option.type.choices if v not in but)]
    text = (
        "10"
        if opt in ("--stream", "--seed")
        else "a=b"
        if opt == "--data-option"
        else "x.png"
        if opt == "--plot"
        else "1"
    )
    return [opt, _VALUES.get(option.type.name, text)]


def _cases() -> list[tuple[str, Need, str]]:
    return [(name, need, option) for name, needs in NEEDS.items() for need in needs for option in need.options]


@pytest.mark.parametrize(("name", "need", "option"), _cases(), ids=lambda v: v if isinstance(v, str) else "")
def test_one_message(name: str, need: Need, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = _command(name)
    arguments = ["x" for p in command.params if isinstance(p, click.Argument)]
    required = [
        w for p in command.params if isinstance(p, click.Option) and p.required for w in _words(command, p.opts[0])
    ]
    beside = _words(command, need.of, need.values) if need.values or need.absent else []
    if need.of in required:
        beside = []
    with pytest.raises(SystemExit) as stopped:
        main([*name.split(), *arguments, *required, *beside, *_words(command, option)])
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert option in told
    assert need.of in told
    assert told.count("Error:") == 1
    assert "Traceback" not in told
    assert "belongs to" in told or "is ignored with" in told


def _twin_cases() -> list[tuple[str, Need, str]]:
    """Return the cases whose options are parameters of the command's function."""
    named = {name: inspect.signature(getattr(bimhw, twin(name))).parameters for name in NEEDS}
    return [
        (name, need, option)
        for name, need, option in _cases()
        if parameter(option) in named[name] and parameter(need.of) in named[name]
    ]


def _other(value: object, but: tuple[str, ...] = ()) -> object:
    """Return a value that is neither the default nor one of `but`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True if isinstance(value, bool) else "none of these"
    return value + 1


@pytest.mark.parametrize(("name", "need", "option"), _twin_cases(), ids=lambda v: v if isinstance(v, str) else "")
def test_the_function_refuses_it_too(name: str, need: Need, option: str) -> None:
    function = getattr(bimhw, twin(name))
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items()}
    given = {parameter(option): _other(defaults[parameter(option)])}
    if need.values or need.absent:
        given[parameter(need.of)] = _other(defaults[parameter(need.of)])
    required = {
        n: "x" for n, p in inspect.signature(function).parameters.items()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }  # fmt: skip
    with pytest.raises(InputError, match=parameter(option)) as refused:
        function(**required | given)
    assert parameter(need.of) in str(refused.value)


def test_a_function_takes_its_own_defaults() -> None:
    """Defaults that a caller passes on are no options given: the missing file is the error."""
    with pytest.raises(InputError, match="nowhere"):
        bimhw.simulate("nowhere.bimhw", trace=None, trace_window=range(20), checkpoint_every=1000, timing_sample=None)


def test_defaults_are_no_options_given(capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` has a default chip, which needs no model."""
    main_code = _code(["verify", "--only", "checkpoint"])
    assert main_code == 0, capsys.readouterr().err


def test_chip_is_taken_with_its_model_and_missing_files_are_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert _code(["verify", "--chip", "loihi2", "--model", "nowhere.pt", "--data", "nowhere.npz"]) == 2
    told = capsys.readouterr().err
    assert "belongs to" not in told
    assert "nowhere.pt: does not exist" in told


def _code(words: list[str]) -> object:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return stopped.value.code
