"""Two networks of routers side by side: engines on random meshes, what they share, links counted, and the chip file's option."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.chips.load import load_chip, parse_chip
from simulator.events.run import run_events
from simulator.function import run
from simulator.program.axons import axon_table, host_readers
from simulator.program.program import HOST
from simulator.program.traffic import reach
from simulator.timing.bound import link_busy_of
from simulator.timing.cases import random_case
from simulator.timing.check import check_mesh
from simulator.timing.clocked import run_clocked, run_clocked_local
from simulator.timing.compiled import run_compiled, run_compiled_local
from simulator.timing.contract import ARR, DONE, EAST, GEN, INJ, LOCAL, SRV, Mesh, StepWork, link_name
from simulator.timing.handshake import run_simpy_local
from simulator.timing.run import run_timing
from simulator.timing.simpy_timing import run_simpy
from tests.simulator.events.test_engine import random_inputs, random_program
from tests.simulator.timing.cases import forked, forked_run, random_run, random_system
from tests.simulator.timing.test_engines import agreed
from tests.simulator.timing.test_neighbours import assert_same as assert_same_run


def engines_agree(seed: int, multicast: bool, messages: int = 160) -> None:
    rng = np.random.default_rng(seed)
    mesh, work = random_case(seed, messages) if seed % 2 else random_system(seed, 6, messages)
    mesh = replace(mesh, networks=2)
    work = forked(mesh, work, rng) if multicast else work
    expected = agreed(mesh, work, f"case {seed}: {mesh}")
    if not multicast:  # each packet takes the links that it takes in one network, in its own
        one = link_busy_of(replace(mesh, networks=1), work)
        both = expected.link_busy[:, :LOCAL] + expected.link_busy[:, LOCAL : mesh.n_links]
        np.testing.assert_array_equal(both, one[:, :LOCAL])
        np.testing.assert_array_equal(expected.link_busy[:, mesh.n_links :], one[:, LOCAL:])
        even = work.dst % 2 == 0
        for side, part in ((0, even), (LOCAL, ~even)):
            kept = np.append(0, np.cumsum(part))[work.off]
            alone = replace(work, off=kept, **{k: getattr(work, k)[part] for k in ("gap", "rel", "dst", "srv")})
            loads = link_busy_of(replace(mesh, networks=1), alone)[:, :LOCAL]
            np.testing.assert_array_equal(expected.link_busy[:, side : side + LOCAL], loads)


def engines_agree_on_a_run(seed: int, multicast: bool, messages: int = 100) -> None:
    rng = np.random.default_rng(seed)
    mesh, _ = random_system(seed, 12, messages=0) if seed % 2 else random_case(seed, 0)
    mesh = replace(mesh, networks=2)
    local = random_run(mesh, rng, 4, messages)
    local = forked_run(mesh, local, rng) if multicast else local
    expected = run_clocked_local(mesh, local)
    assert_same_run(expected, run_compiled_local(mesh, local), f"case {seed}: {mesh}")
    assert_same_run(expected, run_simpy_local(mesh, local), f"case {seed}: {mesh}")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), multicast=st.booleans())
def test_engines_agree(seed: int, multicast: bool) -> None:
    engines_agree(seed, multicast, 60)
    engines_agree_on_a_run(seed, multicast, 40)


@pytest.mark.long
@pytest.mark.parametrize("multicast", [False, True])
def test_engines_agree_on_many(multicast: bool) -> None:
    for seed in range(300):
        engines_agree(seed, multicast)
        engines_agree_on_a_run(seed, multicast)


@pytest.mark.parametrize("engine", [run_clocked, run_simpy, run_compiled])
def test_by_hand(engine) -> None:  # type: ignore[no-untyped-def]
    """Two cores at (0, 0) send to cores 2 and 3 at (1, 0) at once: odd and even take links of their own."""
    mesh = Mesh(2, 1, 2, (1, 4, 1, 4, 2), flits=3, networks=2)
    work = StepWork(
        np.array([0, 2, 3, 3, 3]), np.zeros(3, np.int32), np.zeros(3, np.int64), np.array([2, 3, 2], np.int32),
        np.full(3, 5, np.int32), np.zeros(4, np.int32), np.zeros(4, np.int64),
    )  # fmt: skip
    times = engine(mesh, work)
    # Core 0's second packet shares its FIFO with the first: it may ask when the tail of that has left, 3 ticks later. Core 1's
    # takes the same link as core 0's first, after it; a link passes a head in 4 ticks, the last link a packet in 2 + 3 - 1.
    np.testing.assert_array_equal(times.stamps[:, GEN], [0, 0, 0])
    np.testing.assert_array_equal(times.stamps[:, INJ], [1, 4, 4])
    np.testing.assert_array_equal(times.stamps[:, ARR], [1 + 4 + 4, 4 + 4 + 4, 4 + 4 + 4])
    np.testing.assert_array_equal(times.stamps[:, SRV], [9, 12, 14])
    np.testing.assert_array_equal(times.stamps[:, DONE], [14, 17, 19])
    assert times.link_busy[0].tolist() == [0, 6, 0, 0, 0, 3, 0, 0, 0, 0]
    one = engine(replace(mesh, networks=1), work)
    assert one.link_busy[0, EAST] == 9
    np.testing.assert_array_equal(one.stamps[:, INJ], [1, 4, 7])  # messages that arrived at once go by number


@pytest.mark.parametrize("engine", [run_clocked, run_simpy, run_compiled])
def test_one_output_feeds_a_core(engine) -> None:  # type: ignore[no-untyped-def]
    """Packets of both networks and of the router's own core meet at one destination in turn, never two at once."""
    mesh = replace(random_case(3)[0], networks=2, flits=4)
    n = mesh.n_endpoints
    off, to = np.arange(n + 1) * 2, 1
    work = StepWork(
        off, np.zeros(2 * n, np.int32), np.zeros(2 * n, np.int64), np.full(2 * n, to, np.int32), np.ones(2 * n, np.int32),
        np.zeros(n, np.int32), np.zeros(n, np.int64),
    )  # fmt: skip
    arrived = np.sort(engine(mesh, work).stamps[:, ARR])
    assert (np.diff(arrived) >= 4).all()


def doubled(chip, multicast: bool = False):  # type: ignore[no-untyped-def]
    """Return the same chip with two networks."""
    topology = msgspec.structs.replace(chip.topology, networks=2, multicast=multicast)
    return msgspec.structs.replace(chip, topology=topology)


@pytest.mark.parametrize(("multicast", "sync"), [(False, "barrier"), (True, "neighbour"), (True, "barrier")])
def test_events_equal_function_first_then_compiled(make_chip, multicast, sync) -> None:  # type: ignore[no-untyped-def]
    for seed in range(2):
        chip = make_chip(arbiter="rr" if seed % 2 else "fifo", port_slots=1 + seed, core_slots=1, handshake=1.5)
        double, steps = doubled(chip, multicast), 5
        program, inputs = random_program(seed, 12, False, seed % 2 == 0), random_inputs(seed, steps, False)
        expected = run(program, inputs, steps, seed=seed, topology=double.topology)
        when = run_timing(program, double, expected.spikes, "compiled", sync=sync)
        got, times = run_events(program, double, inputs, steps, seed=seed, sync=sync)
        assert got.spikes.spike_hash() == expected.spikes.spike_hash()
        for name in ("step_ticks", "messages", "soma_stall_ticks", "link_busy_ticks"):
            np.testing.assert_array_equal(getattr(times, name), getattr(when, name), err_msg=name)
        assert run_timing(program, double, expected.spikes, "bound", sync=sync).sim_time_ns <= when.sim_time_ns
        # Links that the energy is charged for are those that the engine saw, in both networks.
        counts, links = expected.activity, when.link_busy_ticks[:, : when.mesh.n_links]
        assert int(links.sum()) == when.mesh.flits * (counts.total("hops_ew") + counts.total("hops_ns"))
        assert links[:, LOCAL:].any()


@pytest.mark.parametrize("seed", range(6))
def test_trees_by_brute_force(make_chip, make_program, seed: int) -> None:  # type: ignore[no-untyped-def]
    """A spike's links: the union of the XY ways to its even destinations, and that of the odd ones."""
    chip = doubled(make_chip(4, 3, 2), True)
    t = chip.topology
    program = make_program(seed, 24, inputs_on_chip=seed % 3 == 0)
    axons, to_host = axon_table(program), host_readers(program) & (program.core != HOST)
    found = reach(program, t, axons)

    def place(core: int) -> tuple[int, int]:
        return t.host_port if core == t.mesh_cores else divmod(core // t.cores_per_router, t.height)

    for neuron in range(program.n_neurons):
        targets = axons.dst[axons.ptr[neuron] : axons.ptr[neuron + 1]].tolist() + [t.mesh_cores] * int(to_host[neuron])
        home = int(program.core[neuron])
        x0, y0 = place(t.mesh_cores if home == HOST else home)
        links = set()
        for target in targets:
            x, y = place(target)
            links |= {("x", target % 2, k) for k in range(min(x0, x), max(x0, x))}
            links |= {("y", target % 2, x, k) for k in range(min(y0, y), max(y0, y))}
        assert found.hops_ew[neuron] == sum(e[0] == "x" for e in links)
        assert found.hops_ns[neuron] == sum(e[0] == "y" for e in links)
        assert found.packets[neuron] + found.host_in[neuron] == bool(targets)
        assert found.received[neuron] == axons.ptr[neuron + 1] - axons.ptr[neuron]


@pytest.mark.parametrize("networks", [0, 3])
def test_other_numbers_are_refused(networks: int) -> None:
    text = (resources.files("simulator") / "chips" / "generic.yaml").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"topology\.networks"):
        parse_chip(text.replace("topology:", f"topology:\n  networks: {networks}"), "mine")
    with pytest.raises(InputError, match="networks"):
        check_mesh(Mesh(2, 2, 1, networks=networks))


def test_one_network_keeps_a_chips_hash() -> None:
    chip = load_chip("generic")
    assert doubled(chip).sha256() != chip.sha256()
    assert chip.sha256() == "98125884872d42a87af250f8ebf94cfd3cac6b9ce6728a1c00bbb952bb84c12a"


def test_names() -> None:
    assert [link_name(k) for k in (0, 3, 5)] == ["north", "west", "east of network 1"]
