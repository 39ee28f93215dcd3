"""A mapping to look at: what each core holds and how full it is, and what every link of the mesh carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapping.flow import Flow, flow_of
from mapping.hypergraph import axon_hypergraph
from mapping.network import Network
from mapping.usage import Resource, usage
from simulator.base.arrays import I64, Floats
from simulator.chips.chip import Chip, Topology
from simulator.program.axons import host_readers
from simulator.program.program import HOST, Program

NORTH, EAST, SOUTH, WEST = range(4)
_OF_A_CORE = ("neurons", "synapse_bytes", "state_bytes", "memory_bytes", "in_axons", "out_axons")


@dataclass(frozen=True, eq=False)
class MappingView:
    """A mapped program on its mesh.

    Attributes:
        neurons: int64 [cores], held by each core of the mesh.
        load: [cores], largest share of a limited resource that a core uses; 0 where it holds nothing.
        binding: name of that resource, by core; "" where none.
        populations: names of what each core holds.
        link: [columns, rows, 4], messages a step that leave each router N (to y + 1), E, S, W.
        sent, received: [cores], messages a step to and from other cores and the host.
        chip_messages: messages a step over links between chips.
    """

    neurons: I64
    load: Floats
    binding: tuple[str, ...]
    populations: tuple[str, ...]
    link: Floats
    sent: Floats
    received: Floats
    chip_messages: float

    def as_json(self, topology: Topology) -> dict[str, Any]:
        """Return cores that hold neurons and links that carry messages, as plain values."""
        t = topology
        rows = []
        for c in np.nonzero(self.neurons)[0].tolist():
            x, y = divmod(c // t.cores_per_router, t.height)
            rows.append(
                {
                    "core": c, "chip": c // t.chip_cores, "router": [x, y], "populations": self.populations[c],
                    "neurons": int(self.neurons[c]), "load": float(self.load[c]), "binding": self.binding[c],
                    "messages_out": float(self.sent[c]), "messages_in": float(self.received[c]),
                }
            )  # fmt: skip
        links = [
            {"router": [int(x), int(y)], "direction": "NESW"[d], "messages": float(self.link[x, y, d])}
            for x, y, d in zip(*np.nonzero(self.link), strict=True)
        ]
        return {
            "cores": rows,
            "links": links,
            "hops_per_step": float(self.link.sum()),
            "chip_messages_per_step": self.chip_messages,
        }


def view_mapping(program: Program, chip: Chip, rates: Mapping[str, Floats] | None = None) -> MappingView:
    """Return the view of a program.

    Args:
        program: mapped.
        chip: its chip.
        rates: population -> messages a step of each neuron; all 1 where unknown.
    """
    t = chip.topology
    n = t.mesh_cores
    flow, to_host = _flow(program, n, rates)
    neurons = np.bincount(program.core[program.core != HOST], minlength=n)
    load, binding = _load(usage(program, chip), n)
    sender, away = flow.sender, flow.sender != flow.to
    inside = away & (sender < n)
    from_host = np.zeros(n)
    from_host[flow.to[sender == n]] = flow.rate[sender == n]
    pairs = sender[inside], flow.to[inside].astype(np.int64), flow.rate[inside]
    link = _links(t, pairs, from_host, to_host)
    edge = np.arange(t.columns - 1) % t.width == t.width - 1
    crossing = link[:-1, :, EAST][edge].sum() + link[1:, :, WEST][edge].sum()
    return MappingView(
        neurons=neurons,
        load=np.where(neurons > 0, load, 0.0),
        binding=binding,
        populations=_held(program, n),
        link=link,
        sent=np.bincount(pairs[0], pairs[2], minlength=n) + to_host,
        received=np.bincount(pairs[1], pairs[2], minlength=n) + from_host,
        chip_messages=float(crossing),
    )


def _flow(program: Program, n: int, rates: Mapping[str, Floats] | None) -> tuple[Flow, Floats]:
    """Return the messages a step from core to core (last row: the host), and from each core to the host [n]."""
    network = Network("integer", program.populations, program.projections)
    graph = axon_hypergraph(network, rates)
    own = program.core != HOST
    flow = flow_of(graph, program.core[own], n)
    read = host_readers(program)
    rate = np.concatenate(
        [np.ones(p.size) if rates is None or p.name not in rates else rates[p.name] for p in program.populations]
    )
    to_host = np.bincount(program.core[own & read], rate[own & read], minlength=n)
    return flow, to_host.astype(np.float64)


def _load(resources: tuple[Resource, ...], n: int) -> tuple[Floats, tuple[str, ...]]:
    known = [r for r in resources if r.name in _OF_A_CORE and r.limit_there]
    share = np.zeros((len(known), n))
    for row, r in zip(share, known, strict=True):
        row[: r.used.size] = r.used / r.limits
    if not known:
        return np.zeros(n), ("",) * n
    return share.max(axis=0), tuple(known[i].name for i in share.argmax(axis=0))


def _held(program: Program, n: int) -> tuple[str, ...]:
    names: list[list[str]] = [[] for _ in range(n)]
    first = program.first_ids()
    for p in program.populations:
        core = program.core[first[p.name] : first[p.name] + p.size]
        for c in np.unique(core[core != HOST]).tolist():
            names[c].append(p.name)
    return tuple(", ".join(x) for x in names)


def _links(t: Topology, pairs: tuple[I64, I64, Floats], from_host: Floats, to_host: Floats) -> Floats:
    """Return the messages of every router output: along the row first, then along the column; sums of intervals."""
    core = np.arange(from_host.size)
    x, y = np.divmod(core // t.cores_per_router, t.height)
    source, target, between = pairs
    entering, leaving = np.nonzero(from_host)[0], np.nonzero(to_host)[0]
    port_x, port_y = (np.full(1, p) for p in t.host_port)
    ax = np.concatenate([x[source], np.repeat(port_x, entering.size), x[leaving]])
    ay = np.concatenate([y[source], np.repeat(port_y, entering.size), y[leaving]])
    bx = np.concatenate([x[target], x[entering], np.repeat(port_x, leaving.size)])
    by = np.concatenate([y[target], y[entering], np.repeat(port_y, leaving.size)])
    flow = np.concatenate([between, from_host[entering], to_host[leaving]])
    out = np.zeros((t.columns, t.height, 4))
    for direction, along, back in ((EAST, ax < bx, 0), (WEST, ax > bx, 1)):
        step = np.zeros((t.columns + 1, t.height))
        np.add.at(step, (np.minimum(ax, bx)[along] + back, ay[along]), flow[along])
        np.add.at(step, (np.maximum(ax, bx)[along] + back, ay[along]), -flow[along])
        out[:, :, direction] = np.cumsum(step, axis=0)[: t.columns]
    for direction, along, back in ((NORTH, ay < by, 0), (SOUTH, ay > by, 1)):
        step = np.zeros((t.columns, t.height + 1))
        np.add.at(step, (bx[along], np.minimum(ay, by)[along] + back), flow[along])
        np.add.at(step, (bx[along], np.maximum(ay, by)[along] + back), -flow[along])
        out[:, :, direction] = np.cumsum(step, axis=1)[:, : t.height]
    return np.where(np.abs(out) < 1e-9 * max(1.0, float(flow.sum())), 0.0, out)
