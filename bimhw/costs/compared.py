"""Display of an energy comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bimhw.costs.rows import ComparisonRow, shown
from simulator.base.shown import Shown, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ComparedEnergy(Shown):
    """Rows of chip and cards, the chip first."""

    def rows(self) -> list[ComparisonRow]:
        """Return chip and GPUs side by side, per sample."""
        raise NotImplementedError

    def _facts(self) -> Mapping[str, Value]:
        row = self.rows()[0]
        facts: dict[str, Value] = {"chip": row.who, "work": row.work, "uj_per_sample": row.uj, "low_uj": row.low_uj}
        facts |= {"high_uj": row.high_uj, "trust": row.word, "unknown": ", ".join(row.unknown) or "nothing"}
        return facts

    def _records(self) -> Sequence[Mapping[str, Value]]:
        return [r.as_json() for r in self.rows()]

    def _draw(self, axes: Axes) -> None:
        rows = shown(self.rows())[::-1]
        for y, r in enumerate(rows):
            colour = "#1f6f78" if r.side == "chip" else "#c4572e"
            axes.plot([r.low_uj, r.uj if r.high_uj is None else r.high_uj], [y, y], color=colour, lw=3, alpha=0.4)
            axes.plot([r.uj], [y], "o", color=colour)
        axes.set_yticks(range(len(rows)), [f"{r.who}: {r.what}" for r in rows], fontsize=7)
        axes.set(xscale="log", xlabel="energy of a sample (µJ), with its range", title="chip compared with GPU")
