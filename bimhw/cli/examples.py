"""An example for every command, shown by its help, and what to do after it, printed when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from bimhw.cli.needs import refusing
from simulator.base.needs import NEEDS

# full name of a command -> its example; tests/bimhw/cli/test_every_command.py runs those that take seconds
EXAMPLES = {
    "bench": "bimhw bench net.npz --chip generic",
    "chips": "bimhw chips",
    "chips check": "bimhw chips check mychip.yaml",
    "chips import": "bimhw chips import arch.yaml -o mychip.yaml",
    "chips new": "bimhw chips new mychip.yaml --like loihi2",
    "chips schema": "bimhw chips schema > chip.schema.json",
    "chips show": "bimhw chips show loihi2",
    "codesign": "bimhw codesign run --plot codesign.png",
    "compile": "bimhw compile examples/digits.safetensors --chip loihi2 -o digits.bimhw",
    "convert": "bimhw convert net.py:make --data samples.npz -o net.bimhw",
    "crosscheck": "bimhw crosscheck examples/digits.safetensors --against brian2 --steps 20",
    "crosscheck-learning": "bimhw crosscheck-learning --steps 100",
    "data check": "bimhw data check recordings.zip --task fsdd",
    "data fetch": "bimhw data fetch shakespeare",
    "data list": "bimhw data list",
    "demo": "bimhw demo --chip loihi2",
    "diagram": "bimhw diagram examples/reaching.json",
    "doctor": "bimhw doctor",
    "energy": "bimhw energy run --gpu h100",
    "examples": "bimhw examples",
    "finetune": "bimhw finetune examples/digits.safetensors --bits 4 --epochs 1 -o digits4.safetensors",
    "fit": "bimhw fit examples/digits.safetensors --chip loihi2",
    "forgetting": "bimhw forgetting digits --hidden 16 --epochs 1 --rule bptt",
    "learn": "bimhw learn small.bimhw --task digits --epochs 1 --run learnt",
    "learning-cost": "bimhw learning-cost --hidden 16 --steps 16,64",
    "map": "bimhw map digits.bimhw --run run -o mesh.png",
    "nir check": "bimhw nir check net.nir --data recorded.npz --profile exact",
    "nir export": "bimhw nir export stack.pt -o out.nir",
    "nir run": "bimhw nir run net.nir --chip loihi2 -o nir-run",
    "nir show": "bimhw nir show net.nir",
    "report": "bimhw report run",
    "rules": "bimhw rules digits --rule e-prop --rule frozen --train 50 --test 50 --hidden 16",
    "results": "bimhw results --table digits --seeds 1 --minutes 10",
    "schema": "bimhw schema simulate",
    "serve": "bimhw serve runs",
    "silicon": "bimhw silicon",
    "simulate": "bimhw simulate digits.bimhw --samples 10 --model examples/digits.safetensors -o run",
    "stdp-window": "bimhw stdp-window --plot window.png",
    "sweep": "bimhw sweep examples/digits.safetensors --chip loihi2,generic --bits 8,4 --samples 10 --plot sweep.png",
    "table": "bimhw table run --gpu h100",
    "train": "bimhw train digits --hidden 16 --epochs 1 -o small.pt",
    "verify": "bimhw verify --only checkpoint",
}

# what to do next; {name} is an option or argument of the command that has ended, or of what it returned
NEXT = {
    "bench": ("bimhw fit {net} --chip loihi2",),
    "chips": ("bimhw chips show loihi2",),
    "chips new": ("bimhw chips check {file}",),
    "chips check": ("bimhw fit MODEL --chip {file}",),
    "compile": ("bimhw simulate {output}{samples} -o run", "bimhw map {output} -o mesh.png"),
    "convert": ("bimhw simulate {output} --data {data} -o run",),
    "data list": ("bimhw train digits -o model.pt",),
    "demo": ("bimhw energy {output}/run --explain all", "bimhw codesign {output}/run"),
    "diagram": ("bimhw compile {file} --chip loihi2 -o x.bimhw",),
    "doctor": ("bimhw demo",),
    "energy": ("bimhw report {run}", "bimhw codesign {run}"),
    "examples": ("bimhw fit {output}/digits.safetensors --chip loihi2",),
    "finetune": ("bimhw compile {output} --chip loihi2 -o x.bimhw",),
    "fit": ("bimhw compile {model} --chip {chip} -o x.bimhw",),
    "learn": ("bimhw energy {run}", "bimhw report {run}"),
    "nir run": ("bimhw energy {output} --gpu h100", "bimhw report {output}"),
    "nir show": ("bimhw fit {model} --chip loihi2",),
    "simulate": ("bimhw energy {output} --gpu h100", "bimhw report {output}"),
    "train": ("bimhw fit {output} --chip loihi2", "bimhw compile {output} --chip loihi2 -o x.bimhw"),
}


def documented(command: click.Command, name: str) -> click.Command:
    """Return the command with its example in the help, its needs checked and its next step at the end; idempotent."""
    if isinstance(command, click.Group):
        for child, inner in command.commands.items():
            documented(inner, f"{name} {child}")
    if name in EXAMPLES and not (command.epilog or "").startswith("Example"):
        command.epilog = f"Example: {EXAMPLES[name]}"
    if name in NEEDS and command.callback is not None and not hasattr(command.callback, "refuses"):
        command.callback = refusing(command.callback, NEEDS[name])
    steps = NEXT.get(name, ())
    if steps and command.callback is not None and not hasattr(command.callback, "next_step"):
        command.callback = _then(command.callback, steps)
    return command


def _then(callback: Callable[..., object], steps: tuple[str, ...]) -> Callable[..., object]:
    """Print the steps that can be filled in after `callback`, on standard error, never with ``--json``."""

    @wraps(callback)
    def run(*args: object, **kwargs: object) -> object:
        value = callback(*args, **kwargs)
        context = click.get_current_context()
        if not context.params.get("as_json") and context.invoked_subcommand is None:
            from shlex import quote

            from bimhw.cli.output import echo

            given = {k: quote(_no_option(v)) for k, v in context.params.items() if v not in (None, ())}
            given |= value if isinstance(value, dict) else {}
            shown = [step for step in steps if _names(step) <= given.keys()]
            if shown:
                echo(f"next: {'  or  '.join(step.format(**given) for step in shown)}", err=True)
        return value

    run.next_step = True  # type: ignore[attr-defined]
    return run


def _no_option(value: object) -> str:
    """Return a value as a word of the shell; a file whose name begins with ``-`` is no option."""
    return f"./{value}" if isinstance(value, Path) and str(value).startswith("-") else str(value)


def _names(step: str) -> set[str]:
    from string import Formatter

    return {name for _, name, _, _ in Formatter().parse(step) if name}
