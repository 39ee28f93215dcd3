"""Tables of connections: a connectome such as FlyWire's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network


class ConnectomeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for reading a table of connections; see `bimhw.models.networks.connectome.connectome`.

    Attributes:
        neurons: path of the table of neurons.
        least: synapses of the smallest pair that is kept.
        stimulate: id of a neuron, or several with blanks between them.
        rate_hz: input spikes of each stimulated neuron a second.
        step_ms: time of a step.
        steps: that the input lasts.
        seed: of the input.
    """

    neurons: str | None = None
    least: int = 1
    stimulate: int | str = ""
    rate_hz: float = 150.0
    step_ms: float = 0.1
    steps: int = 1000
    seed: int = 0


def _read(path: Path, options: ConnectomeOptions) -> Network:
    from bimhw.models.networks.connectome import connectome, neuron_ids

    given = msgspec.structs.asdict(options)
    return connectome(path, **given | {"stimulate": neuron_ids(str(options.stimulate))})


register(
    FrontEnd(
        "connectome",
        "tables of connections (.csv, .csv.gz, .feather, .parquet)",
        ConnectomeOptions,
        _read,
        suffixes=(".csv", ".gz", ".feather", ".parquet"),
    )
)
