"""Write python.md, doors.md, neurons.md and json.md in docs/reference, and docs/llms.txt: python -m benchmarks.reference"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import bimhw
from bimhw.cli.examples import EXAMPLES
from bimhw.cli.main import cli
from bimhw.cli.schemas import DOCUMENTS, schema
from simulator.chips.load import chip_names, load_chip
from simulator.neurons.base import NeuronModel, get, names

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
_PYTHON = """# Python

Everything below is a name under `import bimhw`, loaded when it is first used. The function of a command has the command's name
([commands and functions](doors.md)).
"""
_LLMS = """# bimhw

> Hardware co-design for neuromorphic chips, in Python: does a spiking network fit a chip, what does it compute there in integers,
> when, at what energy, and what does learning on the chip cost compared with BPTT on a GPU."""
_JSON = """# JSON

What each command prints with `--json`. A key's unit is its ending; null stands for unknown. `bimhw schema COMMAND` and
`bimhw.schema(command)` give the JSON schema (draft 2020-12); the examples that the tests run are held against it. Errors are one
object, `{"error": {"kind", "where", "problem", "way_out"}}`, with exit code 2.
This page is generated from the code (`python -m benchmarks.reference`).
"""
_DOORS = """# Commands and functions

Each command is a function under `import bimhw`; a blank or a hyphen becomes an underscore. Every command has `--json`; errors are
JSON too with it, and [each document has a schema](json.md). Without a terminal, long work logs a line every ten seconds on
standard error.
This table is generated from the code (`python -m benchmarks.reference`).

| command | function | defined in | `--json` | example |
|---|---|---|---|---|
"""

_NEURONS = """# Neuron models by platform

A float twin is the same equation in real numbers. The lowering makes the chip's integers of it: a module of the compiler, or the
general one, which stores each parameter as a whole number. A Brian2 twin is written apart from the kernels; `bimhw verify` runs
it on random networks of every model that has one, in real numbers (spikes equal) or in the kernel's integers (all words equal).
NIR names the primitives that become the model. Chips with programmable neurons run every model that has operations:
{programmable}; the last column names the others that have it.
This table is generated from the code (`python -m benchmarks.reference`).

| model | float twin | lowering | Brian2, real numbers | Brian2, integers | NIR | chips |
|---|---|---|---|---|---|---|
"""
# what `bimhw.frontends.nir.lower` makes of NIR's neurons
_NIR = {
    "leaky": "IF, LIF",
    "leaky_graded": "I, LI, IF and LIF with several spikes a step",
    "leaky_cuba": "CubaLIF",
    "leaky_cuba_graded": "CubaLI, CubaLIF with several spikes a step",
}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Full name and value of every command that can be run."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {child}", inner) for child, inner in sorted(command.commands.items()))


def twin(name: str) -> str:
    """Return the function's name of a command."""
    return name.replace(" ", "_").replace("-", "_")


def prints_json(name: str, command: click.Command) -> bool:
    """Whether a command has ``--json``; the schema of chip files is JSON anyway."""
    return name == "chips schema" or any(p.name == "as_json" for p in command.params)


def python_page() -> str:
    """Return the reference of all public names."""
    return _PYTHON + "".join(f"\n::: {path}\n" for path in dict.fromkeys(bimhw._PUBLIC.values()))


def llms_page() -> str:
    """Return the pages of the site for language models (llmstxt.org): each by its title in the site's order, with its heading."""
    site = (FOLDER.parents[1] / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    lines = [_LLMS]
    for section, title, page in re.findall(r"^  - ([^:\n]+):$|^ +- ([^:\n]+): (\S+\.md)$", site, re.M):
        if section:
            lines.append(f"\n## {section}\n")
            continue
        heading = (FOLDER.parent / page).read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({page})" + ("" if heading == title else f": {heading}"))
    return "\n".join(lines) + "\n"


def json_page() -> str:
    """Return the keys of every document, object by object; an object that several commands print stands at the first."""
    lines, told = [_JSON], set[str]()
    for command in DOCUMENTS:
        found = schema(command)
        lines.append(f"\n## {command}\n\nPrints {' or '.join(map(_kind, found['anyOf']))}.\n")
        for name, part in found["$defs"].items():
            if name not in told and part.get("properties"):
                told.add(name)
                lines.append(f"\n**{name}**. {part.get('description', '').splitlines()[0]}\n")
                lines += [_key(key, kind, key in part.get("required", ())) for key, kind in part["properties"].items()]
    return "\n".join(lines) + "\n"


def _key(key: str, kind: dict[str, Any], required: bool) -> str:
    return f"- `{key}`: {_kind(kind)}" + ("" if required else ", may be missing")


def _kind(part: dict[str, Any]) -> str:
    """Return a type in words."""
    if "$ref" in part:
        return f"*{part['$ref'].rpartition('/')[2]}*"
    if "anyOf" in part:
        return " or ".join(map(_kind, part["anyOf"]))
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    if part.get("type") == "array":
        return f"list of {_kind(part['items'])}" if "items" in part else "list"
    if part.get("type") == "object":
        inner = part.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, dict) and inner else "object"
    return str(part.get("type", "any"))


def doors_page() -> str:
    """Return the table of commands and functions."""
    rows = [
        f"| `{name}` | `bimhw.{twin(name)}` | `{bimhw._PUBLIC[twin(name)].rpartition('.')[0]}` "
        f"| {'yes' if prints_json(name, command) else 'no'} | `{EXAMPLES[name]}` |"
        for name, command in commands()
    ]
    return _DOORS + "\n".join(rows) + "\n"


def neurons_page() -> str:
    """Return the table of neuron models: engines, lowering, twins, NIR, chips."""
    chips = [load_chip(name) for name in chip_names()]
    open_to_all = [c.name for c in chips if "*" in c.capabilities.neuron_models]
    rows = []
    for model in map(get, names()):
        own = [
            c.name
            for c in chips
            if model.name in c.capabilities.neuron_models and "*" not in c.capabilities.neuron_models
        ]
        cells = (_yes(model.float_step is not None), _lowering(model), _yes(bool(model.brian2)))
        nir = _NIR.get(model.name, "-")
        rows.append(
            f"| `{model.name}` | {' | '.join(cells)} | {_yes(bool(model.brian2_integer))} | {nir} | {', '.join(own) or '-'} |"
        )
    return _NEURONS.format(programmable=", ".join(open_to_all)) + "\n".join(rows) + "\n"


def _yes(value: bool) -> str:
    return "yes" if value else "-"


def _lowering(model: NeuronModel) -> str:
    if model.lowering:
        return f"`{model.lowering.rpartition('.')[2]}`"
    return "general" if model.float_step is not None and model.kernel is not None else "-"


if __name__ == "__main__":
    (FOLDER / "neurons.md").write_text(neurons_page(), encoding="utf-8")
    (FOLDER / "python.md").write_text(python_page(), encoding="utf-8")
    (FOLDER / "doors.md").write_text(doors_page(), encoding="utf-8")
    (FOLDER / "json.md").write_text(json_page(), encoding="utf-8")
    (FOLDER.parent / "llms.txt").write_text(llms_page(), encoding="utf-8")
