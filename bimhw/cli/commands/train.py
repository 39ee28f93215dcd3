"""`bimhw train TASK`: train a BIM or P-SpikeSSM network, save it, say what it reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bimhw.cli.output import (
    OutputFile,
    device_option,
    echo,
    json_option,
    print_json,
    print_table,
    progress,
    seed_option,
    stopping,
    threads_option,
)
from bimhw.cli.streaming import StreamRun, run_stream
from bimhw.cli.task_options import take_task, with_task_options

if TYPE_CHECKING:
    from bimhw.learning.checkpoints import Saved
    from bimhw.learning.objectives.language import LanguageResult
    from bimhw.learning.objectives.speech import SpeechResult
    from bimhw.tasks.base import Task
    from bimhw.tasks.sources.fsdd import SpokenDigits
    from bimhw.tasks.sources.text import Corpus
    from bimhw.tasks.sources.transcripts import Transcribed


@click.command()
@click.argument("task", required=False)
@with_task_options
@click.option("-o", "--output", type=OutputFile(), help="Model file (.pt or .safetensors).")
@click.option("--preset", help="A tested setting; further options change it; a wrong name lists all.")
@click.option(
    "--family", help="Family of models: bim (default), p-spikessm, p-spikessm-s4, leaky, event, meta or your own."
)
@click.option(
    "--rule",
    help="rtrl (online, default), hybrid, stdp, bptt, frozen, eventprop; leaky: e-prop and more; texts: tbptt; transcripts: ctc.",
)
@click.option("--form", help="Form of the gradient (rtrl, hybrid): dense (default), seq, tr, blk, lazy.")
@click.option("--credit", help="How the error reaches lower layers: filt-win (default), inst, direct, dfa, local.")
@click.option("--kind", type=click.Choice(["diag", "s6", "complex"]), help="Layer kind.")
@click.option("--hidden", help="Neurons of each layer, e.g. 128 or 64,64.")
@click.option("--psp", type=click.Choice(["delta", "exp", "alpha"]), help="Post-synaptic kernel.")
@click.option("--reset", type=click.Choice(["soft", "hard"]), help="Reset after a spike.")
@click.option("--surrogate", type=click.Choice(["fast_sigmoid", "triangle"]), help="Derivative of the spike.")
@click.option("--surrogate-width", type=float, help="Width of the surrogate.")
@click.option("--readout", type=click.Choice(["spike", "membrane"]), help="What the readout reads of the top layer.")
@click.option("--dense-readout", is_flag=True, default=None, help="The readout reads all layers.")
@click.option("--delays", help="Axonal delays of the input in steps, e.g. 0,1,2,3.")
@click.option(
    "--states", "n_states", type=int, help="States per neuron (s6, p-spikessm-s4), complex modes (p-spikessm)."
)
@click.option("--discretisation", type=click.Choice(["euler", "zoh"]), help="Of the state (s6).")
@click.option("--epochs", type=int, help="Passes over the training data.")
@click.option("--batch", type=int, help="Sequences in parallel.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--lr-end", type=float, help="Last learning rate as a fraction of the first (cosine).")
@click.option(
    "--clip", type=float, help="Largest norm of a gradient; 0: no limit (texts by tbptt, transcripts by ctc: 1)."
)
@click.option("--optimiser", help="adam (default), rms (one word per neuron), sgd.")
@click.option("--block", type=int, help="Steps of a block (tr, blk).")
@click.option("--window", type=int, help="Steps of a window (texts, rule tbptt).")
@click.option("--lookback", type=int, help="Steps that a window looks back (tr).")
@click.option("--lambda", "lam", type=float, help="Weight of the gradient against STDP (hybrid).")
@click.option("--w-max", type=float, help="Hard bound on W_in (hybrid, stdp).")
@click.option("--kappa", type=float, help="Scale of the STDP term; 0: the running ratio (hybrid, stdp).")
@click.option("--pairing", type=click.Choice(["all", "nearest"]), help="Pairing of spikes (hybrid, stdp).")
@click.option("--zero-drift", is_flag=True, default=None, help="STDP that leaves uncorrelated trains alone.")
@click.option("--third-factor", type=click.Choice(["none", "reward"]), help="STDP acts through a broadcast reward.")
@click.option("--prune", type=float, help="Share of synapses to prune while training.")
@click.option("--prune-mode", type=click.Choice(["gated", "resampled", "regrow"]), help="Way of pruning.")
@click.option("--rate-strength", type=float, help="Strength of the spike-rate regulariser.")
@click.option("--rate-target", type=float, help="Spike rate it aims at.")
@click.option(
    "--set",
    "more",
    multiple=True,
    help="Any other field of BimConfig, TrainSettings or Init: NAME=VALUE, e.g. refractory=2.",
)
@click.option("--stream", is_flag=True, help="Learn from an endless stream (no resets), until --steps or Ctrl-C.")
@click.option("--steps", type=click.IntRange(1), help="Learn up to this step of the stream.")
@click.option("--report-every", type=click.IntRange(1), default=2000, show_default=True, help="Steps between reports.")
@click.option(
    "--checkpoint", type=OutputFile(), help="File that keeps the state: at each report, epoch, minute, Ctrl-C."
)
@click.option("--resume", is_flag=True, help="Continue from --checkpoint, bit for bit.")
@threads_option
@device_option
@seed_option
@json_option
def command(
    output: Path | None,
    preset: str | None,
    more: tuple[str, ...],
    seed: int,
    as_json: bool,
    stream: bool,
    steps: int | None,
    report_every: int,
    checkpoint: Path | None,
    resume: bool,
    threads: int,
    device: str,
    **options: Any,
) -> None:
    """Train a network on TASK and save it with -o.

    BIM networks learn online by exact RTRL unless --rule names another; P-SpikeSSM by BPTT. TASK is digits by default; with
    --data and without TASK, labelled samples of your own are learnt.
    """
    from bimhw.models.io import check_output
    from bimhw.tasks import TASKS, load_named
    from bimhw.tasks.dataset import Dataset
    from bimhw.tasks.named import named_values

    options |= named_values(more, "--set", "refractory=2") | {"preset": preset}
    if output is not None:
        check_output(output)
    _say_form(options)
    asked, given = options["task"] or "digits", take_task(options)
    source: Any  # Task, Corpus or transcripts, as `kind` says
    if isinstance(given, Dataset):
        source, kind = given.task(), "classes"
    else:
        source = load_named(given or asked) if given is None or isinstance(given, str) else given
        kind = TASKS[asked].kind if asked in TASKS else "classes"
    task = source.name if isinstance(given, Dataset) else asked
    run = Run(task, output, seed, threads, as_json, checkpoint, resume, device)
    if kind != "classes" and options.pop("family") not in (None, "bim"):
        raise click.UsageError(f"{task} is learnt by BIM networks only: leave --family out")
    if device != "cpu" and (stream or kind == "transcripts"):
        raise click.UsageError(f"{'a stream' if stream else task} is learnt on the CPU: leave --device out")
    if stream:
        _train_stream(source, StreamRun(steps, report_every, checkpoint, resume, output, as_json), run, options)
    elif kind == "text":
        _train_text(source, run, options)
    elif kind == "transcripts":
        _train_speech(source, run, options)
    else:
        _train_classes(source, run, options)


def _train_stream(source: Any, how: StreamRun, run: Run, options: dict[str, Any]) -> None:
    from bimhw.learning.feeds import stream_of
    from bimhw.learning.threads import torch_threads

    with torch_threads(run.threads):
        run_stream(stream_of(source, run.seed, options), how)


def _train_classes(source: Task, run: Run, options: dict[str, Any]) -> None:
    from bimhw.learning.heeded import check_heeded
    from bimhw.learning.recipe import recipe
    from bimhw.learning.train import train
    from bimhw.models.io import save_model

    plan = recipe(source, seed=run.seed, **options)
    check_heeded(options, plan.settings)
    with run.kept(plan.settings.epochs * len(source.train)) as (saved, advance):
        result = train(
            source, plan.config, plan.settings, plan.init, progress=advance, threads=run.threads, saved=saved,
            device=run.device,
        )  # fmt: skip
    if run.output is not None:
        save_model(result.model, run.output)
    summary = result.summary() | {"model": None if run.output is None else str(run.output)}
    _print(summary, f"{run.task}: trained by {plan.settings.rule}", run.output, run.as_json)


def _print(summary: dict[str, Any], title: str, output: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    print_table(title, ("quantity", "value"), list(_rows(summary)))
    if output is not None:
        echo(f"saved {output}")


def _say_form(options: dict[str, Any]) -> None:
    """Take the old name of a form as a rule apart, with a line that says so."""
    from bimhw.learning.rules.registry import rule_and_form

    given = options["rule"]
    if given is None:
        return
    rule, form = rule_and_form(given, options["form"] or "dense")
    if rule != given:
        echo(f"--rule {given} is now --rule {rule} --form {form}; the old name goes with the next release", err=True)
        options |= {"rule": rule, "form": form}


class Run(NamedTuple):
    """The task and the options of a run."""

    task: str
    output: Path | None
    seed: int
    threads: int
    as_json: bool
    checkpoint: Path | None
    resume: bool
    device: str

    @contextmanager
    def kept(self, total: int, unit: str = "samples") -> Iterator[tuple[Saved | None, Callable[[int], None]]]:
        """Yield the checkpoint and what takes progress; with a checkpoint, Ctrl-C ends the run between two batches."""
        from bimhw.learning.checkpoints import Saved
        from simulator.base.locks import held

        with progress(f"training {self.task}", total, unit) as advance:
            if self.checkpoint is None:
                yield None, advance
                return

            def count(n: int) -> None:
                advance(n)
                between(n)

            try:
                with held(self.checkpoint), stopping() as between:
                    yield Saved(self.checkpoint, self.resume), count
            except KeyboardInterrupt:
                echo(f"stopped; --checkpoint {self.checkpoint} --resume continues from here", err=True)
                raise


def _train_text(corpus: Corpus, run: Run, options: dict[str, Any]) -> None:
    from bimhw.learning.heeded import check_heeded
    from bimhw.learning.objectives.language import train_language
    from bimhw.learning.objectives.language_recipe import language_recipe

    config, settings, init = language_recipe(corpus, run.seed, **options)
    check_heeded(options, settings)
    steps = settings.epochs * (len(corpus.whole_train) // settings.batch)
    with run.kept(steps, "steps") as (saved, advance):
        result = train_language(
            corpus, config, settings, init, progress=advance, threads=run.threads, saved=saved, device=run.device
        )
    _save_and_print(f"{run.task}: trained by {settings.rule}", result, run, note=corpus.comparable)


def _train_speech(data: SpokenDigits | Transcribed, run: Run, options: dict[str, Any]) -> None:
    from bimhw.learning.objectives.speech import strings_to_learn, train_speech

    with run.kept(strings_to_learn(data, options), "strings") as (saved, advance):
        result = train_speech(data, run.seed, threads=run.threads, saved=saved, progress=advance, **options)
    _save_and_print(f"{run.task}: trained by {result.rule}", result, run)


def _save_and_print(title: str, result: LanguageResult | SpeechResult, run: Run, **more: str) -> None:
    """Write a trained text or speech model, then print its summary and `more`."""
    from bimhw.models.io import save_model

    if run.output is not None:
        save_model(result.model, run.output)
    summary = result.summary() | more | {"model": None if run.output is None else str(run.output)}
    if run.as_json:
        print_json(summary)
        return
    hidden = {"config", "settings", "spike_rates"} | ({"model"} if run.output is None else set())
    shown = {k: v for k, v in shown_figures(summary).items() if k not in hidden}
    shown["spike rates"] = ", ".join(f"{r:.3f}" for r in summary["spike_rates"])
    print_table(title, ("quantity", "value"), list(shown.items()))


def shown_figures(summary: dict[str, Any]) -> dict[str, Any]:
    """Return a summary whose figures of a test set that cannot judge say so."""
    reason = summary.get("not_judged")
    return {k: "not judged" if v is None and reason else v for k, v in summary.items() if k != "not_judged"}


def _rows(summary: dict[str, Any]) -> list[tuple[str, Any]]:
    names = {
        "test_accuracy": "test accuracy",
        "test_loss_nats": "test loss (nats)",
        "train_loss_nats": "training loss, last epoch (nats)",
        "spike_rates": "spikes per neuron and step, by layer",
        "parameters": "parameters",
        "updates": "weight updates",
        "sequences": "sequences seen",
        "memory_words": "learning words of one sequence",
        "train_seconds": "training time (s)",
    }
    values = shown_figures(summary) | {"spike_rates": ", ".join(f"{r:.3f}" for r in summary["spike_rates"])}
    areas = [("test " + k.replace("_", " ").upper(), v) for k, v in summary.items() if k.startswith("auc")]
    return [*areas, *((text, values[key]) for key, text in names.items())]
