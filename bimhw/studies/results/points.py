"""One training run of a row as a point: what it reached, kept as a line of JSON, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bimhw.studies.baselines.figures import Figures
from bimhw.studies.results.plan import TABLES
from bimhw.studies.results.rows import Row
from bimhw.tasks.base import Task
from bimhw.tasks.metrics import DETECTIONS
from bimhw.tasks.sources.fsdd import SpokenDigits
from bimhw.tasks.sources.text import Corpus, language_metrics
from bimhw.tasks.sources.transcripts import Transcribed
from simulator.base.errors import InputError, UncheckedWarning, UnjudgedWarning
from simulator.base.reading import boundary, parse_object, read_text
from simulator.base.writing import os_errors

if TYPE_CHECKING:
    from torch.nn import Parameter

    from bimhw.learning.objectives.ctc import CtcResult

Data = Task | Corpus | SpokenDigits | Transcribed
Options = dict[str, Any]


@dataclass(frozen=True)
class Point(Figures):
    """Figures of one run, and what was run.

    Attributes:
        key: hash of all settings and the seed.
        table, row: where it belongs.
        tuning: whether it was judged on the validation part.
        options: all settings.
        seed: of weights and order.
    """

    key: str
    table: str
    row: str
    tuning: bool
    options: Options
    seed: int


def point_key(table: str, row: Row, options: Options, seed: int, tuning: bool) -> str:
    """Hash everything that decides a run's figures but the code."""
    data = TABLES[table].task_options if table in TABLES else {}
    text = json.dumps([table, row.kind, options, seed, tuning, *([data] if data else [])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_points(path: Path) -> dict[str, Point]:
    """Return the points of a file by key; a last line torn by an interruption is dropped.

    Raises:
        InputError: a line that is no point, or that was altered after it was written.
    """
    points: dict[str, Point] = {}
    text = read_text(path) if path.exists() else ""
    lines, unchecked = text.splitlines(keepends=True), 0
    for number, line in enumerate(lines, 1):
        try:
            point, hashed = _point(line, f"{path}, line {number}")
        except InputError:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise
        points[point.key], unchecked = point, unchecked + (not hashed)
    if unchecked:
        warnings.warn(
            f"{path}: {unchecked} points hold no hash, so a change in them goes unseen", UncheckedWarning, stacklevel=2
        )
    return points


def _point(line: str, where: str) -> tuple[Point, bool]:
    """Return the point of a line, and whether a hash vouches for it."""
    with boundary(where, "a point", "Remove the line: the point is trained again"):
        value = parse_object(line, where)
        stated = value.pop("sha256", None)
        if stated is not None and stated != _digest(value):
            raise ValueError("it was altered after it was written: its hash does not fit")
        unknown = set(value) - {f.name for f in fields(Point)}
        if unknown:
            raise ValueError(f"it holds the unknown field {min(unknown)!r}")
        return msgspec.convert(value, Point), stated is not None


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def append_point(path: Path, point: Point) -> None:
    """Add a point at the end, in place of a line that an interruption tore; on a full disk the file is as before."""
    value = asdict(point)
    line = (json.dumps(value | {"sha256": _digest(value)}, sort_keys=True) + "\n").encode()
    with os_errors(str(path)), path.open("a+b", buffering=0) as file:
        file.seek(0)
        _, _, last = file.read().rpartition(b"\n")
        if last:
            try:
                _point(last.decode(), str(path))
            except (InputError, UnicodeDecodeError):
                file.truncate(file.tell() - len(last))
            else:
                line = b"\n" + line
        size = file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            if not size:
                path.unlink()
            raise


def run_point(
    data: Data,
    table: str,
    row: Row,
    options: Options,
    seed: int,
    tuning: bool,
    device: str = "cpu",
) -> Point:
    """Train and judge one model.

    Raises:
        InputError: bad options, or a training that diverged.
    """
    trainers: dict[str, Callable[[Any, Options, int, bool], Figures]] = {
        "bim": _bim,
        "p-spikessm": _p_spikessm,
        "baseline": _baseline,
        "linear": _linear,
        "bim-text": _bim_text,
        "baseline-text": _baseline_text,
        "ngram": _ngram,
        "bim-ctc": _bim_ctc,
        "baseline-ctc": _baseline_ctc,
    }
    from bimhw.learning.threads import torch_threads

    elsewhere = device != "cpu" and row.kind in _ON_DEVICES
    given = {**options, "device": device} if elsewhere else dict(options)
    with torch_threads(), warnings.catch_warnings():  # the same sums in the same order on any machine
        warnings.simplefilter("ignore", UnjudgedWarning)  # said once for the table
        figures = replace(trainers[row.kind](data, given, seed, tuning), device=device if elsewhere else None)
    if reason := unjudged(data):
        figures = replace(figures, **dict.fromkeys(JUDGED), not_judged=reason)
    key = point_key(table, row, options, seed, tuning)
    return Point(key, table, row.label, tuning, options, seed, **asdict(figures))


JUDGED = ("accuracy", "auc_roc", "auc_pr", "bits_per_character", "perplexity", "word_error_rate", *DETECTIONS)


def unjudged(data: Data) -> str:
    """Return why the test part of data judges nothing; "": it judges."""
    return data.unjudged if isinstance(data, Task | Transcribed) else ""


def decides(data: Data) -> bool:
    """Return whether the validation part can decide between settings."""
    if unjudged(data):
        return False
    return not isinstance(data, Task | Transcribed) or not data.for_tuning().unjudged


_ON_DEVICES = ("bim", "p-spikessm", "baseline", "bim-text", "baseline-text")


def _split(task: Task, tuning: bool) -> Task:
    return task.for_tuning() if tuning else task


def _bim(task: Task, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.learning.recipe import recipe
    from bimhw.learning.train import train

    task = _split(task, tuning)
    device = options.pop("device", "cpu")
    plan = recipe(task, options.pop("preset", None), seed, **options)
    facts = train(task, plan.config, plan.settings, plan.init, device=device).summary()
    return Figures(
        accuracy=facts["test_accuracy"],
        auc_roc=facts.get("auc_roc"),
        auc_pr=facts.get("auc_pr"),
        **{name: facts.get(name) for name in DETECTIONS},
        rate=float(np.mean(facts["spike_rates"])),
        parameters=facts["parameters"],
        updates=facts["updates"],
        seen=facts["sequences"],
        memory_words=facts["memory_words"] or None,
        seconds=facts["train_seconds"],
    )


def _p_spikessm(task: Task, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.models.spikessm.config import FAMILY

    return _bim(task, {"family": FAMILY, **options}, seed, tuning)


def _baseline(task: Task, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.studies.baselines.fit import FitSettings, fit_task
    from bimhw.studies.baselines.models import hidden_for

    task = _split(task, tuning)
    name, parameters, device = options.pop("model"), options.pop("parameters"), options.pop("device", "cpu")
    hidden = hidden_for(name, task.n_in, task.n_classes, parameters)
    return fit_task(name, task, FitSettings(hidden=hidden, seed=seed, **options), device)


def _linear(task: Task, options: Options, seed: int, tuning: bool) -> Figures:
    """Fit logistic regression on all steps and channels; C from the validation part."""
    from bimhw.studies.baselines.linear import fit_linear

    return fit_linear(task, tuned=decides(task))


def _bim_text(corpus: Corpus, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.learning.objectives.language import train_language
    from bimhw.learning.objectives.language_recipe import language_recipe

    device = options.pop("device", "cpu")
    result = train_language(corpus, *language_recipe(corpus, seed, **options), tuning=tuning, device=device)
    return Figures(
        bits_per_character=result.score.bits_per_character,
        perplexity=result.score.perplexity,
        rate=float(np.mean(result.rates)),
        parameters=sum(p.numel() for p in result.model.parameters()),
        updates=result.updates,
        seen=result.symbols,
        memory_words=result.memory_words or None,
        seconds=result.seconds,
    )


def _baseline_text(corpus: Corpus, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.learning.objectives.language import LanguageSettings
    from bimhw.studies.baselines.fit import fit_text

    name, hidden, device = options.pop("model"), options.pop("hidden"), options.pop("device", "cpu")
    settings = LanguageSettings(seed=seed, **_text_options(options))
    return fit_text(name, corpus, hidden, settings, tuning, device)


def _text_options(options: Options) -> Options:
    """Take the names that rows of texts have from before: streams and passes."""
    names = {"streams": "batch", "passes": "epochs"}
    return {names.get(name, name): value for name, value in options.items()}


def _bim_ctc(data: SpokenDigits | Transcribed, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.learning.objectives.speech import train_speech

    done = train_speech(data, seed, tuning, **options)
    return replace(_word_errors(done.result, done.model.parameters()), rate=float(np.mean(done.rates)))


def _baseline_ctc(data: SpokenDigits | Transcribed, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.learning.objectives.ctc import SYMBOLS, CtcSettings, fit_ctc, string_sets
    from bimhw.studies.baselines.models import build

    name, hidden = options.pop("model"), options.pop("hidden")
    settings = CtcSettings(seed=seed, **options)
    if isinstance(data, Transcribed):
        from bimhw.learning.objectives.speech import CHARACTERS, INPUTS, fit_characters

        spelling = build(name, INPUTS, CHARACTERS, hidden, seed)
        spelt = data.for_tuning() if tuning else data
        return _word_errors(fit_characters(spelling, spelling, spelt, settings), spelling.parameters())
    sets = string_sets(data, settings, tuning)
    model = build(name, sets.n_in, SYMBOLS, hidden, seed)
    return _word_errors(fit_ctc(model, model, sets, settings), model.parameters())


def _word_errors(result: CtcResult, parameters: Iterable[Parameter]) -> Figures:
    return Figures(
        word_error_rate=result.errors.rate,
        parameters=sum(p.numel() for p in parameters if p.requires_grad),
        updates=result.updates,
        seen=result.strings,
        seconds=result.seconds,
    )


def _ngram(corpus: Corpus, options: Options, seed: int, tuning: bool) -> Figures:
    from bimhw.studies.baselines.ngram import witten_bell_nll

    start = time.perf_counter()
    nats = witten_bell_nll(corpus.whole_train, corpus.test, len(corpus.symbols), options["order"])
    score = language_metrics(float(nats.sum()), len(nats), corpus.characters_per_token)
    return Figures(
        bits_per_character=score.bits_per_character,
        perplexity=score.perplexity,
        seen=len(corpus.whole_train),
        seconds=time.perf_counter() - start,
    )
