"""Results in a shell, a notebook, a data frame and on axes."""

from __future__ import annotations

import inspect
import re
import statistics
import typing
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import bimhw
from bimhw.views.answer import tiles
from bimhw.views.build import accuracy_part
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


def test_what_public_functions_return_is_short_in_a_shell() -> None:
    """A class with arrays or collections among its fields shows itself; plain settings may use their own repr."""
    long = []
    for name in bimhw._PUBLIC:
        thing = getattr(bimhw, name)
        try:
            kind = thing if inspect.isclass(thing) else typing.get_type_hints(thing)["return"]
        except NameError:  # named for type checkers alone
            continue
        fields = getattr(kind, "__dataclass_fields__", {})
        if any(re.search("rray|Mapping|list|dict|Ints|I64", str(f.type)) for f in fields.values()):
            long += (
                [name] if not issubclass(kind, Shown) and kind not in (bimhw.SweepSpec, bimhw.LearnerSettings) else []
            )
    assert long == []


def test_fields_are_shown_in_brief() -> None:
    train = bimhw.SpikeTrain.from_dense(np.ones((1000, 3), np.int32))
    assert repr(train) == "SpikeTrain(ptr: int64 [1001], ids: int32 [3000])"
    chip = bimhw.load_chip("loihi2")
    assert len(repr(chip)) < 500 and repr(chip).startswith("Chip(name: loihi2")
    assert len(repr(bimhw.load_task("digits"))) < 500


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
        {
            "axes": {"sparsity": s, "seed": k},
            "status": "done",
            "accuracy": a,
            "time_trust": "unknown",
            "total_uj": 2.0,
            "pareto": False,
        }
        | {"total_low_uj": 1.0 + k, "total_high_uj": 4.0, "trust": ("fitted", "assumed", "measured")[k]}
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
    assert (dense["total_low_uj_mean"], dense["total_high_uj_mean"], dense["trust"]) == (2.0, 4.0, "assumed")
    assert (sparse["trust"], sparse["time_trust"], sparse["latency_low_us_mean"]) == ("fitted", "unknown", None)


def test_figures_without_a_value_are_shown_as_a_dash() -> None:
    """Constant targets have no relative error, and a perplexity beyond the largest float is none."""
    result = {"rms_error": 0.1, "relative_rms_error": None, "bits_per_character": 2000.0, "perplexity": None}
    part = accuracy_part(result)
    assert part.table is not None and ["perplexity", "-"] in part.table.rows
    assert "RMS" not in str(tiles({"rms_error": 0.1, "relative_rms_error": None}))
