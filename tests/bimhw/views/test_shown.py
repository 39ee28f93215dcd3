"""Results in a shell, a notebook, a data frame and on axes."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib
import pytest

import bimhw
from simulator.base.shown import Shown

matplotlib.use("Agg")
MODEL = Path(__file__).resolve().parents[3] / "examples" / "digits.safetensors"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    folder = tmp_path_factory.mktemp("shown")
    compiled = bimhw.compile(MODEL, chip="loihi2")
    run = bimhw.simulate(compiled.program, model=MODEL, samples=4, output=folder / "run")
    axes = {"chip": ("loihi2",), "seed": (0, 1)}
    swept = bimhw.sweep(MODEL, axes, samples=4, engine="none", db=folder / "s.sqlite")
    return {"compile": compiled, "simulate": run, "fit": bimhw.fit(MODEL), "sweep": swept,
            "energy": bimhw.energy(run.folder, gpu="h100")}  # fmt: skip


@pytest.mark.parametrize("name", ["compile", "simulate", "fit", "sweep", "energy"])
def test_a_result_shows_itself(results: dict[str, Shown], name: str) -> None:
    import matplotlib.pyplot as plt

    result = results[name]
    assert len(repr(result)) < 500 and repr(result).startswith(type(result).__name__)
    assert result._repr_html_().count("<tr>") == len(result._facts())
    frame = result.to_frame()
    assert len(frame) == len(result._records()) > 0 and len(frame.columns) > 2
    ax = plt.subplots()[1]
    assert result.plot(ax=ax) is ax and ax.has_data() and ax.get_title()
    assert result.plot() is not ax
    plt.close("all")


def test_html_is_escaped() -> None:
    class Named(Shown):
        def _facts(self) -> dict[str, object]:
            return {"<b>": "<script>"}

    assert "<script>" not in Named()._repr_html_() and "<b>" not in Named()._repr_html_()


def test_a_missing_pandas_is_one_line(monkeypatch: pytest.MonkeyPatch, results: dict[str, Shown]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(bimhw.BimhwError, match=r"pip install 'bimhw\[frame\]'"):
        results["fit"].to_frame()


def test_mean_and_deviation_over_seeds() -> None:
    from bimhw.studies.sweep.run import SweepResult

    accuracies = {0.0: (0.9, 0.8, 0.85), 0.5: (0.7,)}
    rows = tuple(
        {"axes": {"sparsity": s, "seed": k}, "status": "done", "accuracy": a, "total_uj": 2.0, "pareto": False}
        for s, values in accuracies.items()
        for k, a in enumerate(values)
    )
    failed = {"axes": {"sparsity": 0.0, "seed": 9}, "status": "failed", "reason": "x", "pareto": False}
    dense, sparse = SweepResult((*rows, failed), 4, 4).over_seeds()
    assert (dense["seeds"], sparse["seeds"]) == (3, 1)
    assert dense["accuracy_mean"] == pytest.approx(0.85) and dense["total_uj_sd"] == 0
    assert dense["accuracy_sd"] == pytest.approx(statistics.stdev(accuracies[0.0]))
    assert sparse["accuracy_sd"] is None and sparse["latency_us_mean"] is None
    assert dense["pareto"] and not sparse["pareto"]
