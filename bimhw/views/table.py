"""Tasks side by side: one column a run, from its NeuroBench metrics and system rows (`bimhw.views.neurobench`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulator.base.shown import short, significant

Metrics = Mapping[str, Any]
METRICS = ("bits_per_character", "auc_roc", "accuracy")  # the first that a run has is its task's


def metric_of(metrics: Metrics) -> str:
    """Return the task's own figure of merit, with its name."""
    found = metrics.get("bimhw.metrics") or {}
    for name in METRICS:
        if found.get(name) is not None:
            return f"{found[name]:.3f} {_SHORT[name]}" if name != "accuracy" else f"{found[name]:.1%}"
    return ""


_SHORT = {"bits_per_character": "bits/character", "auc_roc": "AUC-ROC"}


def _at(key: str) -> Callable[[Metrics], Any]:
    return lambda metrics: metrics.get(key)


def _two(first: str, second: str) -> Callable[[Metrics], Any]:
    def pair(metrics: Metrics) -> str:
        return " / ".join("" if metrics.get(k) is None else significant(metrics[k], 3) for k in (first, second))

    return pair


def _ends(low: str, high: str) -> Callable[[Metrics], Any]:
    return lambda metrics: _range([metrics.get(low), metrics.get(high)])


def _range_of(key: str) -> Callable[[Metrics], Any]:
    return lambda metrics: _range(metrics.get(key) or [])


def _latency_range(metrics: Metrics) -> str:
    mean, ratios = metrics.get("bimhw.latency_us_mean"), metrics.get("bimhw.time_ratios")
    return "" if mean is None or ratios is None else _range([mean * ratio for ratio in ratios])


def _range(ends: Sequence[float | None]) -> str:
    return " .. ".join("unbounded" if end is None else significant(end, 3) for end in ends)


FIGURES: tuple[tuple[str, Callable[[Metrics], Any]], ...] = (
    ("task", _at("bimhw.task")),
    ("chip", _at("bimhw.chip")),
    ("metric on the chip", metric_of),
    ("program against its network", _at("bimhw.fidelity")),
    ("weights", _at("ParameterCount")),
    ("steps of a sample", _at("bimhw.steps_per_sample")),
    ("activation sparsity", _at("ActivationSparsity")),
    ("pJ/SynOp, dynamic / total", _two("bimhw.dynamic_pj_per_synop", "bimhw.pj_per_synop")),
    ("pJ/neuron update", _at("bimhw.pj_per_neuron_update")),
    ("nJ/step (a token of a text), dynamic / total", _two("bimhw.dynamic_nj_per_step", "bimhw.nj_per_step")),
    (
        "µJ/inference, dynamic / total",
        _two("bimhw.dynamic_uj_per_inference", "bimhw.energy_uj_per_inference"),
    ),
    ("µJ/inference, range of its constants", _ends("bimhw.energy_low_uj", "bimhw.energy_high_uj")),
    ("µJ/inference, all copies that fit", _at("bimhw.full_uj_per_inference")),
    ("copies of the network that fit", _at("bimhw.copies")),
    ("µJ/sample learnt, inference included: dense RTRL, counted", _at("bimhw.dense_learning_uj_per_sample")),
    ("µJ/sample learnt, inference included: best exact form, counted", _at("bimhw.learning_uj_per_sample")),
    ("the same, range", _range_of("bimhw.learning_range_uj")),
    ("the same on as many separate learners, each with a network of its own", _at("bimhw.learners_uj_per_sample")),
    ("best exact form of learning", _at("bimhw.learning_form")),
    ("trust in the energies", _at("bimhw.trust")),
    ("not in the sums", lambda m: ", ".join(m.get("bimhw.unknown") or ())),
    ("latency of a sample, µs", _at("bimhw.latency_us_mean")),
    ("latency of a sample, range of its times", _latency_range),
    ("trust in the times", _at("bimhw.time_trust")),
    ("samples/s", _at("bimhw.samples_per_s")),
    ("EDP, J s", _at("bimhw.energy_delay_product_js")),
)


def rows(found: Mapping[str, Metrics]) -> list[tuple[Any, ...]]:
    """Return (figure, value of each run ...); empty where a run does not have it."""
    return [(name, *(_blank(of(m)) for m in found.values())) for name, of in FIGURES]


def gpu_rows(found: Mapping[str, Metrics]) -> list[tuple[Any, ...]]:
    """Return (card and work, nominal energy of a sample and its range, of each run ...) at batch 1 and at the best batch."""
    names: dict[str, dict[str, str]] = {}
    for run, metrics in found.items():
        rows = metrics["bimhw.gpu"]
        for key in dict.fromkeys((g["gpu"], g["mode"], g["case"]) for g in rows):
            same = [g for g in rows if (g["gpu"], g["mode"], g["case"]) == key]
            best = min(same, key=lambda g: g["uj"])
            for batch, g in (("1", next((g for g in same if g["batch"] == 1), None)), ("best", best)):
                if g is not None:
                    label = f"{key[0]}, {_MODES[key[1]]}, {_CASES[key[2]]}, batch {batch}"
                    names.setdefault(label, {})[run] = _cell(g) + (f" ({g['batch']})" if batch == "best" else "")
    return [(name, *(cells.get(run, "") for run in found)) for name, cells in names.items()]


def _cell(g: Mapping[str, Any]) -> str:
    from simulator.base.shown import si

    low, nominal, high = (si(g[k] * 1e-6, "J") for k in ("low_uj", "uj", "high_uj"))
    return f"{nominal} [{low} .. {high}]"


_CASES = {"fused": "fused bound", "graph": "graph", "eager": "eager"}
_MODES = {"inference": "inference", "bptt": "BPTT", "rtrl": "RTRL"}


def _blank(value: Any) -> Any:
    return "" if value is None else value


def markdown(title: str, columns: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """Return a table as Markdown."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(c if isinstance(c, str) else short(c) for c in row)} |" for row in body]
    return "\n".join([f"## {title}", "", *lines, ""])
