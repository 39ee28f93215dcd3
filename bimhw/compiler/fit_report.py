"""`FitReport`: the verdict of `fit`, a plain dict that shows itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bimhw.compiler.result import draw_resources
from simulator.base.shown import Shown, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class FitReport(Shown, dict[str, Any]):
    """Verdict on a model and a chip; the keys are those that `bimhw.fit` lists."""

    def _facts(self) -> Mapping[str, Value]:
        keys = ("chip", "fits", "reason", "way_out", "cores", "cores_of_chip", "chips", "binding")
        return {k: self[k] for k in keys if self.get(k) not in ("", None)}

    def _records(self) -> Sequence[Mapping[str, Value]]:
        own = {k: self.get(k) for k in ("chip", "fits", "cores", "cores_of_chip", "chips", "reason")}
        return [own, *self["other_chips"]]

    def _draw(self, axes: Axes) -> None:
        verdict = "fits" if self["fits"] else "does not fit"
        draw_resources(axes, self.get("resources") or [], f"{verdict} on {self['chip']}")
