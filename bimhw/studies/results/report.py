"""docs/results.md and its plots, from the points alone: no figure in them was typed by hand."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bimhw.studies.results.plan import CASE_BY_CASE, TABLES
from bimhw.studies.results.plot import dot_plot
from bimhw.studies.results.points import Point, point_key
from bimhw.studies.results.rows import Row, Table
from bimhw.studies.results.run import LOWER_IS_BETTER, chosen, value
from bimhw.tasks.metrics import DETECTIONS
from simulator.base.files import write_text
from simulator.base.names import VERSION

_UNITS = {
    "accuracy": "accuracy %",
    "auc_roc": "AUC-ROC",
    "bits_per_character": "bits/character",
    "word_error_rate": "WER %",
}
_FACTS = ("seeds", "rate", "parameters", "updates", "seen", "s")

_HEAD = """# Results

`make results` (`bimhw results`) writes this page from `docs/results/points.jsonl`; do not edit it by hand. Figures are mean +-
standard deviation over the seeds given; one seed has no deviation. Settings of rows with a grid were chosen on a validation part
of the training split, never on the test split. The last run trains on the whole training split.

- *rate*: spikes per neuron and step. *updates*, *seen*: updates and sequences (or symbols), repetitions included. All three are
  means over seeds.
- *memory*: for online rules, the learning words of one sequence; for BPTT, the words that autograd keeps for the backward pass of
  one batch.
- *s*: seconds on a core that other work shared, an order of magnitude only.
"""


def write_report(points: Mapping[str, Point], folder: Path) -> list[Path]:
    """Write ``results.md`` and one plot a table into `folder`.

    Args:
        points: as `read_points` gives.
        folder: usually ``docs``.

    Returns:
        The files written.
    """
    (folder / "results").mkdir(parents=True, exist_ok=True)
    parts, files, done = [_HEAD], [], set[str]()
    for table in TABLES.values():
        rows = [(row, found) for row in table.rows if (found := _of(points, table, row))]
        if table.group:
            if all(t.name not in done for t in TABLES.values() if t.group == table.group):
                section, plot = _left_out(points, table.group, folder / "results")
                parts.append(section)
                files += plot
            done.add(table.name)
            continue
        if not rows:
            continue
        parts.append(_section(table, rows, points))
        dots = [(r.label, r.is_bim, made) for r, found in rows if (made := _figures(found, table))]
        if not dots:
            continue
        lower = table.metric in LOWER_IS_BETTER
        files.append(dot_plot(dots, table.metric, lower, table.name, folder / "results" / f"{table.name}.svg"))
        parts.append(f"![{table.title}](results/{table.name}.svg)\n")
    parts += [_missing(points), _versions()]
    write_text(folder / "results.md", "\n".join(p for p in parts if p))
    return [folder / "results.md", *files]


def _of(points: Mapping[str, Point], table: Table, row: Row) -> list[Point]:
    """Test points of a row, by seed: of the settings that most seeds have, of equal ones the chosen. Settings and training data
    that the plan no longer holds do not count."""
    best = chosen(
        table, row, lambda row, options, seed, tuning: points.get(point_key(table.name, row, options, seed, tuning))
    )
    settings = sorted((row.options | choice for choice in row.grid or ({},)), key=lambda options: options != best)
    groups = [
        [
            points[key]
            for seed in range(row.seeds)
            if (key := point_key(table.name, row, options, seed, False)) in points
        ]
        for options in settings
    ]
    return max(groups, key=len)


def _section(table: Table, rows: list[tuple[Row, list[Point]]], points: Mapping[str, Point]) -> str:
    second = {"accuracy": "", "auc_roc": "AUC-PR", "bits_per_character": "perplexity", "word_error_rate": ""}[
        table.metric
    ]
    head = [
        "model",
        _UNITS[table.metric],
        *([second] if second else []),
        "seeds",
        "rate",
        "parameters",
        "updates",
        "seen",
        "memory",
        "s",
    ]
    lines = [f"## {table.title}", "", f"Paper's claim: {table.claim}", "", _line(head), _line(["---"] * len(head))]
    for row, found in rows:
        cells = [row.label, _spread(_figures(found, table), table.metric) or "not judged"]
        if second:
            name = "auc_pr" if table.metric == "auc_roc" else "perplexity"
            cells.append(_spread([getattr(p, name) for p in found if getattr(p, name) is not None], name))
        cells += [
            str(len(found)),
            *(_mean(found, n) for n in ("rate", "parameters", "updates", "seen", "memory_words")),
        ]
        lines.append(_line([*cells, _mean(found, "seconds")]))
    if reasons := dict.fromkeys(p.not_judged for _, found in rows for p in found if p.not_judged):
        lines += [
            "",
            f"**Not judged**: the test part {'; '.join(reasons)}. The rows were trained; no figure is given.",
        ]
    lines += ["", _settings(rows)]
    if edges := _edges(table, rows, points):
        lines += ["", f"On the edge of the values tried, so a better one may lie beyond: {'; '.join(edges)}."]
    if seen := [f"{row.label}: {', '.join(what)}" for row, _ in rows if (what := table.seen_of(row))]:
        lines += [
            "",
            f"**Settings chosen with knowledge of this test split**, which flatters the row: {'; '.join(seen)}.",
        ]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _figures(points: list[Point], table: Table) -> list[float]:
    """Return what the table compares, of the points that the test part judged."""
    return [value(p, table) for p in points if not p.not_judged]


def _settings(rows: list[tuple[Row, list[Point]]]) -> str:
    tuned = []
    for row, found in rows:
        names = dict.fromkeys(name for choice in row.grid for name in choice)
        given = [f"{name} {found[0].options[name]}" for name in names if name in found[0].options]
        if len(row.grid) > 1:
            tuned.append(f"{row.label}: {', '.join(given)}")
    return f"Chosen on the validation part: {'; '.join(tuned)}." if tuned else ""


def _edges(table: Table, rows: list[tuple[Row, list[Point]]], points: Mapping[str, Point]) -> list[str]:
    """Return rows whose chosen number is the least or the largest of those tried, where none between does as well."""
    out = []
    for row, found in rows:
        tuned = {point_key(table.name, row, row.options | c, 0, True): c for c in row.grid}
        tried = [(points[key], choice) for key, choice in tuned.items() if key in points]
        for name in dict.fromkeys(name for _, choice in tried for name in choice):
            least = _LEAST.get(name)
            valued = [(c.get(name, least), value(p, table)) for p, c in tried]
            of_value = {number: figure for number, figure in valued if isinstance(number, int | float)}
            low, high = min(of_value, default=0), max(of_value, default=0)
            chosen = found[0].options.get(name)
            if len(of_value) < 2 or chosen not in (low, high) or chosen == least:
                continue
            if all(figure != of_value[chosen] for number, figure in of_value.items() if low < number < high):
                which = "smallest" if chosen == low else "largest"
                out.append(f"{row.label}: {name} {chosen:g} ({which} of {len(of_value)})")
    return out


_LEAST = {"dropout": 0.0}  # nothing lies beyond these; a choice without the name has this value


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(values: list[float], metric: str) -> str:
    if not values:
        return ""
    scale, digits = (
        (100.0, 1) if metric in ("accuracy", "word_error_rate") else (1.0, 3 if metric != "perplexity" else 2)
    )
    mean = f"{scale * float(np.mean(values)):.{digits}f}"
    return mean + (f" +- {scale * float(np.std(values, ddof=1)):.{digits}f}" if len(values) > 1 else "")


def _mean(points: list[Point], name: str) -> str:
    values = _held(points, name)
    if not values:
        return ""
    mean = float(np.mean(values))
    return f"{mean:.2f}" if name == "rate" else f"{mean:,.0f}"


def _left_out(points: Mapping[str, Point], group: str, folder: Path) -> tuple[str, list[Path]]:
    """Write tables that leave one thing out each as a section: its mean over seeds, the mean of all of a seed; a plot."""
    tables = [t for t in TABLES.values() if t.group == group and any(_of(points, t, row) for row in t.rows)]
    if not tables:
        return "", []
    metric = tables[0].metric
    lines, dots, detected = [], [], []
    for row in tables[0].rows:
        found = [_of(points, table, row) for table in tables]
        if not any(found):
            continue
        scores = [_figures(group, table) for table, group in zip(tables, found, strict=True)]
        every = [p for group in found for p in group]
        whole = [float(np.mean(of_seed)) for of_seed in zip(*scores, strict=False)]
        cells = [_spread([float(np.mean(s))] if s else [], metric) for s in scores]
        mean = f"**{_spread(whole, metric)}**" if whole else "not all run"
        facts = [_mean(every, n) for n in ("rate", "parameters", "updates", "seen", "seconds")]
        lines.append(_line([row.label, *cells, mean, str(len(whole)), *facts]))
        means = [_spread(_held(every, name), "") for name in DETECTIONS]
        detected += [_line([row.label, *means])] if any(means) else []
        if whole:
            dots.append((row.label, row.is_bim, whole))
    title = f"{tables[0].title.rpartition(', ')[0]}, leave one out ({_UNITS[metric]})"
    head = ["model", *(t.left_out for t in tables), f"mean of {len(tables)}", *_FACTS]
    parts = [
        f"## {title}",
        "",
        f"Paper's claim: {tables[0].claim}",
        "",
        _line(head),
        _line(["---"] * len(head)),
        *lines,
        "",
    ]
    if detected:
        names = ["model", *(name.replace("_", " ") for name in DETECTIONS)]
        parts += [_line(names), _line(["---"] * len(names)), *detected, ""]
    parts += [tables[0].note, ""]
    if not dots:
        return "\n".join(parts), []
    plot = dot_plot(dots, metric, False, group, folder / f"{group}.svg")
    return "\n".join([*parts, f"![{title}](results/{group}.svg)\n"]), [plot]


def _held(points: list[Point], name: str) -> list[float]:
    return [v for p in points if (v := getattr(p, name)) is not None]


def _missing(points: Mapping[str, Point]) -> str:
    """List the rows of the plan whose seeds are not all there."""
    lines = []
    for table in TABLES.values():
        if table.group == CASE_BY_CASE:  # as many as a copy has
            continue
        for row in table.rows:
            there = len(_of(points, table, row))
            if there < row.seeds:
                lines.append(f"- {table.name}: {row.label}: {there} of {row.seeds} seeds")
    if not lines:
        return ""
    return "\n".join(
        ["## Not yet run", "", "`make results` continues with these rows. No row above replaces them.", "", *lines, ""]
    )


def _versions() -> str:
    import torch

    return f"bimhw {VERSION}, torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}.\n"
