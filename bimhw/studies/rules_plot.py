"""Pictures of `bimhw rules`: accuracy against energy, and over the samples of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from bimhw.studies.rules_rows import RuleRow, pareto

_LEAST_POINTS = 10.0  # of accuracy on the axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_rules(rows: Sequence[RuleRow], task: str, path: Path) -> None:
    """Draw last accuracy against energy a sample: each seed, the mean of each rule, and the Pareto front of the means.

    Rules whose learning has no energy on the chip are named with their accuracy; where none has one, it is drawn alone.

    A stream has a second panel: accuracy over its samples, the mean of the seeds.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from bimhw.views.figure import save_figure

    stream = any(r.stream for r in rows)
    figure, axes = plt.subplots(1, 1 + stream, figsize=(6.4 * (1 + stream), 4.4), layout="constrained", squeeze=False)
    _energies(axes[0, 0], rows)
    axes[0, 0].set(title=f"Rules on {task}")
    if stream:
        _course(axes[0, 1], rows)
    save_figure(figure, path)
    plt.close(figure)


def _of_each_rule(rows: Sequence[RuleRow]) -> dict[str, list[RuleRow]]:
    return {name: [r for r in rows if r.rule == name] for name in dict.fromkeys(r.rule for r in rows)}


def _mean(rows: Sequence[RuleRow]) -> RuleRow:
    """Return the first row of a rule with the means of its seeds in last accuracy and energy."""
    accuracy = sum(r.accuracy[-1] for r in rows) / len(rows)
    energy = None if rows[0].energy_uj is None else sum(map(_energy, rows)) / len(rows)
    return msgspec.structs.replace(rows[0], accuracy=(accuracy,), energy_uj=energy)


def _energy(row: RuleRow) -> float:
    return row.energy_uj or 0.0


def _figure(rows: Sequence[RuleRow]) -> str:
    return "accuracy at the end of the stream (%)" if rows[0].stream else f"test {rows[0].figure} (%)"


def _energies(axis: Axes, rows: Sequence[RuleRow]) -> None:
    every = [_mean(of) for of in _of_each_rule(rows).values()]
    means = [m for m in every if m.energy_uj is not None]
    if not means:
        axis.barh([m.rule for m in every], [100 * m.accuracy[-1] for m in every], color="tab:blue", height=0.5)
        axis.set(xlabel=f"{_figure(rows)}; learning has no known energy on this chip", xlim=(0, 100))
        return
    said = "energy of a sample while learning (µJ)"
    if unknown := [f"{m.rule} {100 * m.accuracy[-1]:.1f} %" for m in every if m.energy_uj is None]:
        said += f"\nlearning has no known energy: {', '.join(unknown)}"
    for row in rows:
        if row.energy_uj is not None:
            axis.plot(row.energy_uj, 100 * row.accuracy[-1], "o", color="tab:blue", markersize=3, alpha=0.4)
    for row in means:
        axis.plot(_energy(row), 100 * row.accuracy[-1], "o", color="tab:blue", markersize=6)
        axis.annotate(row.rule, (_energy(row), 100 * row.accuracy[-1]), (6, 4), textcoords="offset points", fontsize=8)
    axis.margins(x=0.12)
    front = pareto(means)
    energies, figures = [_energy(r) for r in front], [100 * r.accuracy[-1] for r in front]
    axis.step(
        energies,
        figures,
        "o-",
        where="post",
        color="tab:red",
        linewidth=1,
        markersize=10,
        markerfacecolor="none",
        label="Pareto front of the means",
    )
    axis.set(xlabel=said, ylabel=_figure(rows))
    low, high = axis.get_ylim()
    spare = max(0.0, _LEAST_POINTS - (high - low)) / 2  # differences of a point are not drawn as large ones
    axis.set_ylim(low - spare, high + spare)
    axis.legend(fontsize=8)


def _course(axis: Axes, rows: Sequence[RuleRow]) -> None:
    for name, of in _of_each_rule(rows).items():
        axis.plot(of[0].scored_at, 100 * np.mean([r.accuracy for r in of], axis=0), label=name, linewidth=1.2)
    axis.set(xlabel="samples of the stream", ylabel="accuracy on the samples that come next (%)", ylim=(0, 102))
    axis.legend(fontsize=8)
