"""Every command has a function of its name, an example in its help, and ``--json``; its example runs."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from benchmarks.nets import write_net
from benchmarks.reference import commands, doors_page, json_page, prints_json, twin
from bimhw.cli.examples import EXAMPLES, NEXT, _no_option
from bimhw.cli.main import cli
from bimhw.cli.schemas import DOCUMENTS, documents, schema
from simulator.base.errors import InputError
from tests.bimhw.cli.provenance import lacking
from tests.bimhw.cli.writing_commands import TIMED, WRITING, write_inputs

ROOT = Path(__file__).resolve().parents[3]
ALL = dict(commands())
# chained: each may use the files of those before it
CHAINED = [
    "compile", "simulate", "map", "energy", "codesign", "report", "table", "fit", "chips", "chips show", "chips new",
    "chips check", "chips schema", "data list", "doctor", "silicon", "stdp-window", "learning-cost", "nir show",
    "nir run", "sweep",
]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_its_function_its_example_and_json(name: str) -> None:
    function = getattr(bimhw, twin(name))
    assert callable(function) and inspect.signature(function).return_annotation is not inspect.Signature.empty
    assert EXAMPLES[name].startswith(f"bimhw {name}")
    shown = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert " ".join(EXAMPLES[name].split()) in " ".join(shown.output.split())
    assert prints_json(name, ALL[name])


def test_no_example_is_of_a_command_that_is_not_there() -> None:
    assert EXAMPLES.keys() == ALL.keys() and NEXT.keys() <= ALL.keys()


def test_no_package_hides_a_function() -> None:
    packages = {p.name for p in (ROOT / "bimhw").iterdir() if (p / "__init__.py").is_file()}
    assert not packages & bimhw._PUBLIC.keys()


def test_every_option_that_a_message_names_exists() -> None:
    known = {"--help"} | {o for _, command in commands() for p in command.params for o in (*p.opts, *p.secondary_opts)}
    known |= {o for p in cli.params for o in p.opts}
    root = Path(bimhw.__file__).parents[1]
    files = (
        f for package in ("bimhw", "simulator", "mapping", "energy_models") for f in (root / package).rglob("*.py")
    )
    named = {}
    for file in files:
        if file.name == "fetch.py":  # it calls pip, whose options these are
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", node.value), file)
    assert len(named) > 100
    assert {option: file for option, file in named.items() if option not in known} == {}


def test_the_table_in_the_docs_is_of_this_code() -> None:
    assert (ROOT / "docs" / "reference" / "doors.md").read_text(encoding="utf-8") == doors_page()


@pytest.mark.long
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    _nir_file()
    for name in CHAINED:
        arguments = shlex.split(EXAMPLES[name].split(" > ")[0])[1:]
        again = [] if name in ("chips new", "chips schema") else ["--json"]
        for more in ([], again) if again else ([],):
            done = CliRunner().invoke(cli, [*arguments, *more, *(["--force"] if _has_force(name) else [])])
            assert done.exit_code == 0, f"{name}: {done.output} {done.exception!r}"
            if more:
                assert json.loads(done.stdout)
                check_document(name, done.stdout)


# those that write nothing; the files are of `write_inputs`, and of the commands that write
READING = """
bench plain.npz --repeats 1
chips check mychip.yaml
chips show loihi2
chips
chips schema
crosscheck-learning --steps 20
data list
diagram examples/reaching.json
doctor
energy run --gpu h100
fit m.safetensors --chip loihi2
forgetting digits --hidden 4 --epochs 1 --rule frozen
nir check net.nir --data recorded.npz --dt 1e-4
schema simulate
serve . --list
silicon
""".strip().splitlines()
BY_THEMSELVES = {"demo", "data check", "data fetch"}  # a minute, a data set, a download


@pytest.mark.long
def test_every_command_prints_its_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    write_net(tmp_path / "plain.npz", 100, (5, 20), 0.05, n_in=20, steps=20)
    np.savez("recorded.npz", x=np.ones((8, 3, 3), np.float32), out=np.zeros((8, 3, 4), np.float32))  # [T, B, n]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = []
    for line in (*WRITING, *TIMED, *READING):
        words = shlex.split(line)
        name = next(n for n in (" ".join(words[:2]), words[0]) if n in ALL)
        ended = CliRunner().invoke(cli, words if name == "chips schema" else [*words, "--json"])  # is JSON itself
        assert ended.exit_code in ((0, 1) if name == "nir check" else (0,)), (
            f"{line}: {ended.output} {ended.exception!r}"
        )
        check_document(name, ended.stdout)
        assert not list(lacking(name, json.loads(ended.stdout)))
        done.append(name)
    assert set(done) | BY_THEMSELVES == ALL.keys()


def test_a_figure_without_its_word_or_range_is_found() -> None:
    good = {"uj": 1.0, "low_uj": 0.5, "high_uj": 2.0, "word": "fitted"}
    assert not list(lacking("x", [good, {"spreads": {"a_pj": {}}, "figures": {"a_pj": 1, "a_low_pj": 1}}]))
    assert list(lacking("x", [{**good, "us": 3.0}])) == ["x[].us has no range"]
    assert list(lacking("x", {"rows": [{"step_ns": 1.0}]})) == [
        "x.rows[].step_ns has no word",
        "x.rows[].step_ns has no range",
    ]
    assert list(lacking("x", {"figures": {"b_pj": 1}, "spreads": {"a_pj": {}}})) == [
        "x.figures.b_pj has no word", "x.figures.b_pj has no range",
    ]  # fmt: skip
    assert list(lacking("x", {"by_core_pj": {"0": 1.0}, "word": "fitted"})) == ["x.by_core_pj has no range"]


def check_document(name: str, text: str) -> None:
    """Fail where a command's output is none of its documents: an unknown key, a missing one, another type."""
    problems = []
    for kind in documents(name):
        try:
            msgspec.json.decode(text, type=kind)
        except msgspec.ValidationError as error:
            problems.append(str(error))
        else:
            return
    raise AssertionError(f"{name}: {problems}")


def test_every_command_has_a_document_and_its_schema() -> None:
    assert DOCUMENTS.keys() == ALL.keys()
    assert all(schema(name)["anyOf"] for name in DOCUMENTS)
    with pytest.raises(InputError, match="'simulat'"):
        schema("simulat")


def test_the_page_of_json_is_of_this_code() -> None:
    assert (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8") == json_page()


@pytest.mark.parametrize(
    "line",
    [
        "chips",
        "data list",
        "doctor",
        "chips check {chip}",
        "fit {model} --chip generic",
        "stdp-window",
        "schema fit",
        "silicon",
    ],
)
def test_a_quick_command_prints_its_document(line: str, tmp_path: Path) -> None:
    chip = tmp_path / "mine.yaml"
    bimhw.chips_new(chip, "generic")
    name = line.partition(" {")[0].removesuffix(" fit")
    arguments = shlex.split(line.format(chip=chip, model=ROOT / "examples" / "digits.safetensors"))
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    check_document(name, done.stdout)


def _has_force(name: str) -> bool:
    return any("--force" in p.opts for p in ALL[name].params if isinstance(p, click.Option))


def _nir_file() -> None:
    import torch

    from bimhw.models.stack import LI, LIF, Stack

    torch.manual_seed(0)
    net = Stack(torch.nn.Linear(8, 16), LIF(keep=0.875), torch.nn.Linear(16, 4), LI(keep=0.9))
    bimhw.export_nir(net, "net.nir")


def test_a_next_step_takes_no_file_for_an_option() -> None:
    assert _no_option(Path("-x.bimhw")) == _no_option(Path("./-x.bimhw")) == "./-x.bimhw"
    assert (_no_option(Path("a/-x")), _no_option("-1"), _no_option(3)) == ("a/-x", "-1", "3")


def test_the_next_step_is_said_and_never_in_json(tmp_path: Path) -> None:
    run = CliRunner()
    model = str(ROOT / "examples" / "digits.safetensors")
    assert f"next: bimhw compile {model} --chip generic" in run.invoke(cli, ["fit", model, "--chip", "generic"]).stderr
    assert "next:" not in run.invoke(cli, ["fit", model, "--chip", "generic", "--json"]).output
    own, diagram = str(tmp_path / "a.bimhw"), str(ROOT / "examples" / "reaching.json")
    assert (
        f"next: bimhw simulate {own} -o run"
        in run.invoke(cli, ["compile", model, "-o", own, "--task", "digits"]).stderr
    )
    assert f"next: bimhw simulate {own} --data FILE -o run" in run.invoke(cli, ["compile", diagram, "-o", own]).stderr
