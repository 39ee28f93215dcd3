"""`CompileResult`: the program, the networks it came from, and the figures of its compilation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.shown import Shown, Value
from simulator.program.program import Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class CompileResult(Shown):
    """Result of `compile`.

    Attributes:
        program: mapped integers, ready to save.
        network: the integer network before mapping.
        float_network: what the front end made (of an integer network, that network).
        rates: population -> messages a step of each neuron in calibration, by which it was mapped.
        report: JSON-able figures: cores, neurons, synapses, axons, bytes against limits, formats, weight errors, notes.
    """

    program: Program
    network: Network
    float_network: Network
    report: Mapping[str, Any]
    rates: Mapping[str, Floats]

    def _facts(self) -> Mapping[str, Value]:
        r = self.report
        return {k: r[k] for k in ("chip", "neurons", "synapses", "cores", "cores_of_chip") if k in r}

    def _records(self) -> Sequence[Mapping[str, Value]]:
        rows: Sequence[Mapping[str, Value]] = self.report["resources"]
        return rows

    def _draw(self, axes: Axes) -> None:
        draw_resources(axes, self.report["resources"], f"{self.report['chip']}: {self.report['cores']} cores")


def draw_resources(axes: Axes, resources: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw the share of each known limit that the fullest core uses."""
    known = [r for r in resources if r["load"] is not None]
    axes.barh([r["name"].replace("_", " ") for r in known], [100 * r["load"] for r in known], color="#1f6f78")
    axes.invert_yaxis()
    axes.set(xlabel="used by the fullest core (% of its limit)", title=title)
