"""Tasks side by side: each cell from the run's own figures, blanks where a run has none, Markdown that keeps its columns."""

from __future__ import annotations

from bimhw.views import table as task_table

GPU = {"gpu": "h100", "mode": "inference", "case": "eager", "batch": 1, "low_uj": 17.54, "uj": 32434.2, "high_uj": 5e4}
FOUND = {
    "a": {
        "bimhw.task": "digits", "bimhw.metrics": {"accuracy": 0.953}, "bimhw.gpu": [GPU, GPU | {"batch": 256, "uj": 30.0}],
        "bimhw.dynamic_pj_per_synop": 49.26, "bimhw.pj_per_synop": 235.7, "ParameterCount": 4736,
    },
    "b": {
        "bimhw.task": "lm", "bimhw.metrics": {"accuracy": 0.4, "bits_per_character": 2.3456},
        "bimhw.gpu": [GPU | {"batch": 32, "low_uj": 5.0}], "bimhw.pj_per_synop": None,
    },
}  # fmt: skip


def test_rows_are_the_runs_own_figures() -> None:
    rows = {row[0]: row[1:] for row in task_table.rows(FOUND)}
    assert rows["metric on the chip"] == ("95.3%", "2.346 bits/character")  # a text is judged by its own metric
    assert rows["pJ/SynOp, dynamic / total"] == ("49.3 / 236", " / ")
    assert rows["weights"] == (4736, "") and rows["samples/s"] == ("", "")


def test_cards_stand_in_one_row_whatever_batch_their_memory_holds() -> None:
    rows = {row[0]: row[1:] for row in task_table.gpu_rows(FOUND)}
    assert rows["h100, inference, eager, batch 1"] == ("32.4 mJ [17.5 µJ .. 50 mJ]", "")
    best = ("30 µJ [17.5 µJ .. 50 mJ] (256)", "32.4 mJ [5 µJ .. 50 mJ] (32)")
    assert rows["h100, inference, eager, batch best"] == best


def test_metrics_in_order_of_what_a_task_is_judged_by() -> None:
    assert task_table.metric_of({"bimhw.metrics": {"accuracy": 1.0, "auc_roc": 0.99}}) == "0.990 AUC-ROC"
    assert task_table.metric_of({}) == ""


def test_markdown_keeps_columns() -> None:
    text = task_table.markdown("t", ("figure", *FOUND), task_table.rows(FOUND))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert (
        len({line.count("|") for line in lines}) == 1 and lines[0] == "| figure | a | b |" and text.startswith("## t\n")
    )
