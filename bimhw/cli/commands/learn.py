"""`bimhw learn x.bimhw --task digits`: on-chip learning in the chip's own words."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import OutputFile, echo, force_option, json_option, print_json, print_table, progress, seed_option
from bimhw.cli.renamed import renamed
from bimhw.cli.task_options import take_task, with_task_options

if TYPE_CHECKING:
    from bimhw.runs.learn import OnChipResult
    from bimhw.runs.learn_rule import RuleResult
    from bimhw.tasks.base import Task

_OLD = {"lam": "lambda", "history": "lookback", "prune-target": "prune", "weight-bits": "bits"}


@click.command(context_settings=renamed(_OLD))
@click.argument("program", type=click.Path(path_type=Path))
@click.option("--task", help="Task to learn [digits]; without it, --data is your own samples.")
@with_task_options
@click.option("-o", "--output", type=OutputFile(), help="Program file with the weights learnt.")
@click.option(
    "--run", type=click.Path(path_type=Path), help="Also write a run folder, for `bimhw energy` and `report`."
)
@click.option("--model", type=OutputFile(), help="Also write the weights as a model (.pt or .safetensors).")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=8, show_default=True, help="Passes over the training data."
)
@click.option("--rule", help="Learning rule: rtrl, hybrid, stdp, frozen [rtrl]; loihi: that of --rule-file.")
@click.option(
    "--rule-file",
    help="Your own rule (YAML), or a shipped one: see docs/rules.md.",
)
@click.option("--form", help="Form of the gradient: dense, seq, tr, blk [dense; s6 models: seq].")
@click.option("--optimiser", type=click.Choice(["rms", "sgd"]), help="rms: one word per neuron and port [rms].")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--lr-end", type=float, help="Last learning rate as a fraction of the first.")
@click.option("--lr-course", type=click.Choice(["linear", "cosine"]), help="Decay of the learning rate [linear].")
@click.option("--bits", type=int, help="Bits of a weight: 8, 12 or 16 [8].")
@click.option("--trace-bits", type=int, help="Bits of a trace [8].")
@click.option("--trace-rounding", type=click.Choice(["nearest", "stochastic"]), help="Of eligibility traces [nearest].")
@click.option("--rounding", type=click.Choice(["stochastic", "nearest"]), help="Of the weight update [stochastic].")
@click.option("--every", type=int, help="Labelled steps between two updates (dense) [1].")
@click.option("--block", type=int, help="Steps between two updates (tr, blk) [16].")
@click.option("--lookback", type=int, help="Older steps that a window visits (tr) [32].")
@click.option("--lambda", "lam", type=float, help="Weight of the gradient against STDP (hybrid) [1].")
@click.option("--credit", type=click.Choice(["filt-win", "direct"]), help="Error to lower layers [filt-win].")
@click.option("--error-at", type=click.Choice(["host", "core"]), help="Where error words are computed [host].")
@click.option("--learn-a-log", is_flag=True, default=None, help="A_log of s6 layers learns too.")
@click.option("--prune", type=float, help="Share of synapses to prune.")
@click.option("--prune-mode", type=click.Choice(["mask", "gated", "regrow"]), help="Way of pruning [mask].")
@click.option(
    "--engine",
    type=click.Choice(["function", "events"]),
    default="function",
    show_default=True,
    help="function: compute, then time; events: inside the event-driven simulation.",
)
@click.option("--checkpoint", type=OutputFile(), help="Written after each epoch; the run resumes from it if it exists.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other field of `simulator.plasticity.LearnConfig`, e.g. skip_zero=no, error_bits=8, kappa=0.1.",
)
@force_option
@seed_option
@json_option
def command(
    program: Path,
    task: str | None,
    output: Path | None,
    run: Path | None,
    model: Path | None,
    epochs: int,
    seed: int,
    as_json: bool,
    data: Path | None,
    task_options: tuple[str, ...],
    encode: str | None,
    data_options: tuple[str, ...],
    settings: tuple[str, ...],
    rule_file: str | None,
    **options: Any,
) -> None:
    """Let PROGRAM learn a task on the simulated chip, in integers."""
    from bimhw.models.io import save_model
    from bimhw.runs.learn import learn
    from bimhw.runs.learn_rule import learn_by_rule
    from bimhw.tasks.named import named_values

    if model is not None:
        from bimhw.compiler.readback import model_of

        _check_model(program, model)
    asked: dict[str, object] = {"task": task if data is not None else task or "digits", "data": data}
    asked |= {"task_options": task_options, "encode": encode, "data_options": data_options}
    source = _source(program, asked)
    given = {k: v for k, v in options.items() if v is not None} | named_values(settings, "--set", "error_bits=8")
    with progress(f"learning {source.name} on the chip", epochs * len(source.train)) as advance:
        result: OnChipResult | RuleResult
        if by_file(rule_file, given):
            force = bool(given.get("force"))
            result = learn_by_rule(
                program,
                str(rule_file),
                source,
                output,
                epochs=epochs,
                seed=seed,
                run=run,
                force=force,
                progress=advance,
            )
        else:
            result = learn(program, source, output, epochs=epochs, seed=seed, run=run, progress=advance, **given)
    if model is not None:
        save_model(model_of(result.program), model)
    summary = result.summary() | {
        "program": None if output is None else str(output),
        "run": None if run is None else str(run),
    }
    summary |= _times(run, summary)
    if as_json:
        print_json(summary)
    else:
        _show(source.name, summary)


def _check_model(program: Path, model: Path) -> None:
    """Refuse a model that could not be made or written: better before the work than after."""
    from bimhw.compiler.readback import read_back
    from bimhw.models.io import check_output
    from simulator.program.program import Program

    import_module("bimhw.models.bim.net")  # torch may not fit the memory
    check_output(model)
    read_back(Program.load(program))


def _source(program: Path, asked: dict[str, object]) -> Task:
    """Return the task that the options name, or the user's own samples as the program's task."""
    from bimhw.runs.classes import task_for, with_classes
    from bimhw.tasks import load_named
    from bimhw.tasks.dataset import Dataset
    from simulator.program.program import Program

    chosen = take_task(asked)
    if isinstance(chosen, Dataset):
        return task_for(Program.load(program), chosen)
    return with_classes(load_named(chosen or "digits") if chosen is None or isinstance(chosen, str) else chosen)


def by_file(rule_file: str | None, given: dict[str, Any]) -> bool:
    """Return True where the rule comes from a file, which leaves no other setting of learning."""
    if rule_file is None:
        if given.get("rule") == "loihi":
            raise click.UsageError(
                "--rule loihi reads sums of products: give --rule-file FILE, or a shipped rule by name"
            )
        return False
    kept = (("engine", "function"), ("rule", "loihi"))
    others = sorted(k for k, v in given.items() if k != "force" and (k, v) not in kept)
    if others:
        raise click.UsageError(f"--rule-file holds the whole rule: leave out {', '.join(others)}")
    return True


def _times(run: Path | None, summary: Mapping[str, object]) -> dict[str, str | float | None]:
    from bimhw.runs.time_range import time_range

    return time_range(run) if run is not None and "mean_latency_us" in summary else {}


def _show(task: str, summary: dict[str, Any]) -> None:
    from bimhw.runs.time_range import TIMES, time_note
    from simulator.base.shown import significant

    rows = [
        ("test accuracy", summary["test_accuracy"]),
        ("by epoch", ", ".join(f"{a:.3f}" for a in summary["test_accuracy_by_epoch"])),
        *((t, summary[k][-1]) for t, k in [("loss of the last epoch (nats)", "loss_nats_by_epoch")] if k in summary),
        ("spikes per neuron and step, by layer", ", ".join(f"{r:.3f}" for r in summary["spike_rates"])),
        *(
            (t, summary[k])
            for t, k in [("weight updates", "updates"), ("weights at a bound", "weights_at_bound")]
            if k in summary
        ),
        ("chip steps", summary["chip_steps"]),
    ]
    if "mean_step_ns" in summary:
        note = time_note({k: summary[k] for k in TIMES if k in summary})
        word = f"  {summary['time_word']}" if summary.get("time_word") else ""
        rows += [("mean step (ns)", f"{significant(summary['mean_step_ns'], 4)}{word}")]
        rows += [("a sample (µs)", f"{significant(summary['mean_latency_us'], 4)}{note}")]
    print_table(f"{task}: learnt on the chip", ("quantity", "value"), rows)
    print_table("operations", ("kind", "total"), list(summary["operations"].items()))
    if summary.get("saturations"):
        print_table("saturated words", ("population.word", "times"), list(summary["saturations"].items()))
    if summary.get("pruned_share"):
        print_table("pruned", ("projection", "share"), list(summary["pruned_share"].items()))
    print_table("learning memory", ("kind", "bytes"), list(summary["learning_bytes"].items()))
    for saved in (summary["program"], summary["run"]):
        if saved:
            echo(f"saved {saved}")
