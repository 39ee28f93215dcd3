"""Faults of a chip: what breaks, how often, seeded and counted.

Every fault is a pure function of (seed, place, step), so a run with faults repeats to the bit and does not depend on the
order in which anything is computed. Links and clocks concern timing and reachability, the rest concerns function.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numba
import numpy as np

from simulator.base.arrays import I32, I64, U8, Array, Bools, Floats
from simulator.base.errors import InputError
from simulator.base.random import STREAM_CLOCK, STREAM_DROP, STREAM_FAULT, philox4x32
from simulator.base.reading import read_yaml
from simulator.chips.chip import Topology
from simulator.program.axons import AxonTable, host_readers
from simulator.program.program import HOST, Program

Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Direction = Literal["north", "east", "south", "west"]
Link = tuple[int, int, Direction]  # router x, y, and the output that is dead
Detour = tuple[Literal["row", "column"], int]  # along which line of routers
_STEP = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
_MASK = np.uint64(0xFFFFFFFF)


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Broken parts of a chip.

    Attributes:
        seed: key of every random choice below.
        dead_cores: their neurons never fire or update, packets to them are lost.
        dead_links: router outputs that carry nothing, as (x, y, direction); where a chip has two networks, those of both.
        drop_rate: probability that a packet between cores is lost.
        stuck_rate: share of the synapses whose weight is stuck.
        stuck_value: where it is stuck: at zero, at the smallest or at the largest value of its word.
        weight_flip_rate: probability that a stored bit of a weight is wrong from the start (weak memory cells).
        weight_upset_rate: probability that a stored bit of a weight flips in a step (soft errors); flips stay.
        state_upset_rate: probability that a bit of a neuron's state word flips in a step; flips stay.
        clock_sigma: relative standard deviation of the cores' speed, cut at 3 sigma.
    """

    seed: Seed = 0
    dead_cores: tuple[int, ...] = ()
    dead_links: tuple[Link, ...] = ()
    drop_rate: Rate = 0.0
    stuck_rate: Rate = 0.0
    stuck_value: Literal["zero", "min", "max"] = "zero"
    weight_flip_rate: Rate = 0.0
    weight_upset_rate: Rate = 0.0
    state_upset_rate: Rate = 0.0
    clock_sigma: Annotated[float, msgspec.Meta(ge=0, lt=1 / 3)] = 0.0

    @property
    def touches_function(self) -> bool:
        """True if spikes may differ from those of a sound chip."""
        rates = (self.drop_rate, self.stuck_rate, self.weight_flip_rate, self.weight_upset_rate, self.state_upset_rate)
        return bool(self.dead_cores) or any(rates)


def parse_faults(value: Any, where: str = "faults") -> Faults:
    """Parse faults from plain values (of a JSON or YAML file).

    Raises:
        InputError: an unknown field, a rate outside 0..1; the message has the path.
    """
    try:
        return msgspec.convert(value, Faults)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise InputError(where, str(error), f"Fields: {', '.join(Faults.__struct_fields__)}") from error


def read_faults(path: Path) -> Faults:
    """Read faults from a YAML or JSON file.

    Raises:
        InputError: no such file, not YAML, an unknown field or a value out of its range (with its path in the file).
    """
    value = read_yaml(path)
    return parse_faults({} if value is None else value, str(path))


def check_faults(faults: Faults, topology: Topology) -> None:
    """Raise `InputError` for a dead core or link that this chip does not have."""
    wrong = [c for c in faults.dead_cores if not 0 <= c < topology.mesh_cores]
    if wrong:
        raise InputError(f"dead core {wrong[0]}", f"is not on the chip; its cores are 0..{topology.mesh_cores - 1}")
    _check_places(faults.dead_links, topology)
    for x, y, direction in faults.dead_links:
        dx, dy = _STEP[direction]
        if not (0 <= x + dx < topology.columns and 0 <= y + dy < topology.height):
            raise InputError(f"dead link ({x}, {y}, {direction})", "leads off the mesh: there is no such link")


def _check_places(links: Iterable[Link], topology: Topology) -> None:
    for x, y, direction in links:
        if not (0 <= x < topology.columns and 0 <= y < topology.height):
            raise InputError(
                f"dead link ({x}, {y}, {direction})", f"is not on the {topology.columns} x {topology.height} mesh"
            )


def clock_factors(faults: Faults, n_cores: int) -> Floats:
    """Return how much longer each core takes than the nominal one, float64 [cores]: 1 + clock_sigma * normal, cut at 3 sigma."""
    out = np.ones(n_cores)
    for core in range(n_cores if faults.clock_sigma else 0):
        words = philox4x32(0, core, STREAM_CLOCK, 0, faults.seed & 0xFFFFFFFF, faults.seed >> 32)
        u, v = (float(int(w)) + 0.5 for w in words[:2])
        normal = np.sqrt(-2 * np.log(u / 2**32)) * np.cos(2 * np.pi * v / 2**32)
        out[core] = 1 + faults.clock_sigma * min(3.0, max(-3.0, normal))
    return out


def dead_neurons(program: Program, dead_cores: Iterable[int]) -> Bools:
    """Return neurons on dead cores, bool [N]."""
    dead: Bools = np.isin(program.core, np.array(sorted(dead_cores), np.int32))
    return np.asarray(dead & (program.core != HOST))


def detours(
    program: Program, axons: AxonTable, topology: Topology, dead_links: Iterable[Link]
) -> dict[tuple[int, int], Detour]:
    """Return the pairs (source, destination), core or `HOST`, whose way, x first, meets a dead link, with a whole way around.

    A detour goes along another row or column, the one with the fewest hops.

    Raises:
        InputError: a link that is not on the mesh, or no such way: the pair, the links in the way and what to do.
    """
    dead = {(x, y, d) for x, y, d in dead_links}
    if not dead:
        return {}
    _check_places(dead, topology)
    out: dict[tuple[int, int], Detour] = {}
    pairs = np.stack([np.repeat(program.core, axons.fan_cores), axons.dst], axis=1)
    reporting = np.unique(program.core[host_readers(program) & (program.core != HOST)])
    to_host = np.stack([reporting, np.full_like(reporting, HOST)], axis=1)
    for a, b in np.unique(np.concatenate([pairs, to_host]), axis=0).tolist():
        here, there = router_of(a, topology), router_of(b, topology)
        if not dead.isdisjoint(path(here, there)):
            out[a, b] = _way_around(a, b, here, there, topology, dead)
    return out


def _way_around(
    a: int, b: int, here: tuple[int, int], there: tuple[int, int], topology: Topology, dead: set[Link]
) -> Detour:
    ways: list[Detour] = [("row", y) for y in range(topology.height)]
    ways += [("column", x) for x in range(topology.columns)]
    whole = [w for w in ways if dead.isdisjoint(path(here, there, w))]
    if not whole:
        raise InputError(
            "the host" if b == HOST else f"core {b}",
            f"cannot be reached from {'the host' if a == HOST else f'core {a}'}: along every row and column there are dead "
            f"links (x first: router {_first(dead, path(here, there))})",
            "Place the populations elsewhere, or drop the core",
        )
    return min(whole, key=lambda w: len(path(here, there, w)))


def _first(dead: set[Link], links: list[Link]) -> str:
    x, y, direction = next(link for link in links if link in dead)
    return f"({x}, {y}) {direction}"


def router_of(core: int, topology: Topology) -> tuple[int, int]:
    """Return the router (x, y) of a core; of the host port for `HOST`."""
    if core == HOST:
        return topology.host_port
    router = core // topology.cores_per_router
    return router // topology.height, router % topology.height


def path(here: tuple[int, int], there: tuple[int, int], via: Detour | None = None) -> list[Link]:
    """Return links from router to router: x first, or along a row (y, x, y) or a column (x, y, x).

    A row is not used between routers of one column, nor a column between routers of one row: they are joined directly.
    """
    kind, line = via if via is not None else ("column", there[0])
    if kind == "row" and here[0] != there[0]:
        stops = [(here[0], line), (there[0], line), there]
    elif kind == "column" and here[1] != there[1]:
        stops = [(line, here[1]), (line, there[1]), there]
    else:
        stops = [there]
    links: list[Link] = []
    for stop in stops:
        links += _straight(here, stop)
        here = stop
    return links


def _straight(here: tuple[int, int], there: tuple[int, int]) -> list[Link]:
    (x, y), links = here, []
    while (x, y) != there:
        direction: Direction = (
            "east" if there[0] > x else "west" if there[0] < x else "north" if there[1] > y else "south"
        )
        links.append((x, y, direction))
        x, y = x + _STEP[direction][0], y + _STEP[direction][1]
    return links


@numba.njit(cache=True, nogil=True)
def lost_packets(
    ids: I32,
    ax_ptr: I64,
    ax_dst: I32,
    dead: Bools,
    threshold: np.uint64,
    seed: int,
    step: int,
    lost: U8,
) -> None:
    """Mark in ``lost`` (uint8 [events, cores]) the packets that do not arrive: to dead cores, or dropped.

    A packet (source neuron, destination core) of a step is dropped where Philox's word of (step, id, stream, core) is
    below ``threshold`` = rate * 2^32.
    """
    key = np.uint64(seed)
    for k in range(ids.size):
        for a in range(ax_ptr[ids[k]], ax_ptr[ids[k] + 1]):
            core = ax_dst[a]
            gone = dead[core]
            if threshold > np.uint64(0) and not gone:
                word = philox4x32(step, ids[k], STREAM_DROP, core, key & _MASK, key >> np.uint64(32))[0]
                gone = word < threshold
            lost[k, core] = gone


@numba.njit(cache=True, nogil=True)
def hits(rate: float, places: int, seed: int, step: int, stream: int, which: int) -> I64:
    """Return places 0..places-1 that a fault of this rate hits, ascending (int64), each independently of the others.

    The gaps are geometric, so the work is that of the hits, not of the places.
    """
    out = np.empty(16, np.int64)
    n, at, draw = 0, -1, 0
    key = np.uint64(seed)
    scale = np.log1p(-rate) if rate < 1.0 else -np.inf
    while rate > 0.0:
        word = philox4x32(step, draw, stream, which, key & _MASK, key >> np.uint64(32))[0]
        draw += 1
        gap = np.floor(np.log((float(word) + 0.5) / 4294967296.0) / scale)
        if gap >= places - at - 1:
            break
        at += 1 + int(gap)
        if n == out.size:
            larger = np.empty(2 * n, np.int64)
            for k in range(n):
                larger[k] = out[k]
            out = larger
        out[n] = at
        n += 1
    return out[:n]


def flip_bits(words: Array, bits: int, places: I64) -> None:
    """Flip bit ``place % bits`` of word ``place // bits`` (flat, two's complement of `bits` bits, sign extended)."""
    flat = words.reshape(-1)
    for place in places.tolist():
        value = int(flat[place // bits]) ^ (1 << (place % bits))
        value &= (1 << bits) - 1
        flat[place // bits] = value - (1 << bits) if value >> (bits - 1) else value


def fault_stream(kind: int) -> int:
    """Return the random stream of a kind of fault (0 stuck, 1 flipped from the start, 2 weight upsets, 3 state upsets)."""
    return STREAM_FAULT + 256 * (kind + 1)
