"""`bimhw.map`: where the neurons of a program are, as a table, a picture and a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.runs.folder import RunFolder, rates_of_run
from mapping.files import save_mapping
from mapping.view import MappingView, view_mapping
from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.base.writing import together
from simulator.chips.chip import Chip
from simulator.program.chip import chip_of_program
from simulator.program.program import Program


@dataclass(frozen=True, eq=False, repr=False)
class Placement(Shown):
    """A program on its mesh.

    Attributes:
        program: as mapped.
        chip: that it was mapped for.
        view: loads of cores and links.
        rates: source of the message rates.
    """

    program: Program
    chip: Chip
    view: MappingView
    rates: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return self.view.as_json(self.chip.topology) | {"chip": self.chip.name, "rates": self.rates}


def map_program(
    program: Program | Path | str,
    run: Path | str | None = None,
    output: Path | str | None = None,
    save: Path | str | None = None,
) -> Placement:
    """Show where the neurons of a program are: load of cores, messages over links.

    Args:
        program: mapped, or its file.
        run: run folder of this program; links then carry its own spikes, else one message per neuron and step.
        output: picture to write (.png, .svg, .pdf).
        save: write the mapping as JSON, for ``compile(mapping=...)``.

    Raises:
        InputError: no program, or a run of another one.
    """
    from bimhw.views.mapping_plot import plot_mapping

    loaded = program if isinstance(program, Program) else Program.load(Path(program))
    chip, rates, source = chip_of_program(loaded), None, "one message per neuron and step"
    if run is not None:
        folder = RunFolder.open(run)
        if folder.program().sha256() != loaded.sha256():
            what = "this program" if isinstance(program, Program) else program
            raise InputError(str(run), f"is not a run of {what}", "Simulate this program")
        rates, source = rates_of_run(folder), f"the spikes of {run}"
    with together():
        if output is not None:
            plot_mapping(loaded, chip, Path(output), rates, source)
        if save is not None:
            save_mapping(loaded, Path(save))
    return Placement(loaded, chip, view_mapping(loaded, chip, rates), source)
