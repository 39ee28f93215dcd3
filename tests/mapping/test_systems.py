"""Several chips as one target: numbers of cores, cost of places, fit and compile, spikes, times and energy of the whole."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import numpy as np
import pytest

from bimhw.compiler.fit import fit
from bimhw.compiler.pipeline import compile
from bimhw.runs.simulate import simulate
from energy_models.chip_energy import chip_energy
from mapping.mapper import map_network
from mapping.network import Network
from mapping.placement import chip_messages, crossing_of, hop_cost, place, usable_cores
from simulator.base.errors import FitError, InputError
from simulator.chips.chip import MOST_CHIPS, Chip, Topology
from simulator.chips.load import load_chip, parse_chip
from simulator.chips.system import one_of, with_chips
from simulator.events.run import run_events
from simulator.function import run
from simulator.neurons.base import get
from simulator.program.chip import chip_of_program
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import run_timing


def small(cores: int = 8, neurons: int = 5, broken: tuple[int, ...] = ()) -> Chip:
    """Loihi 2 with a mesh of 2 x 2 routers of 2 cores and few neurons a core."""
    chip = load_chip("loihi2")
    topology = Topology(2, 2, 2, cores, broken_cores=broken)
    few = msgspec.structs.replace(chip.limits.neurons_per_core, value=float(neurons))
    limits = msgspec.structs.replace(chip.limits, neurons_per_core=few)
    return msgspec.structs.replace(chip, name="small", topology=topology, limits=limits)


def groups(n_groups: int, size: int, seed: int = 0) -> Network:
    """Recurrent groups, scattered over the ids, each with inputs of its own."""
    rng = np.random.default_rng(seed)
    n = n_groups * size
    group = rng.permutation(np.arange(n) % n_groups)
    inside = rng.integers(-40, 60, (n, n)) * ((group[:, None] == group) & (rng.random((n, n)) < 0.6))
    drive = rng.integers(60, 120, (n, 8)) * (rng.random((n, 8)) < 0.4)
    model = get("lif")
    values = {"dv": 400, "bias": 5, "vth": 300}
    params = {w.name: np.asarray(values.get(w.name, model.defaults.get(w.name, 0))) for w in model.params}
    return Network(
        "integer",
        (Population("in", "input", 8), Population("net", "lif", n, params, layer=1, role="output")),
        tuple(
            Projection(name, source, "net", "in", *dense_to_csr(m.astype(np.int8)))
            for name, source, m in (("drive", "in", drive), ("rec", "net", inside))
        ),
    )


def inputs(steps: int = 30, seed: int = 1) -> SpikeTrain:
    return SpikeTrain.from_dense((np.random.default_rng(seed).random((steps, 8)) < 0.4).astype(np.int32))


def test_a_system_by_name_by_call_and_back() -> None:
    four = load_chip("loihi2-x4")
    assert four == with_chips(load_chip("loihi2"), 4)
    assert (four.name, four.n_cores, four.topology.mesh_cores, four.topology.columns) == ("loihi2-x4", 512, 512, 32)
    assert one_of(four) == load_chip("loihi2") == with_chips(load_chip("loihi2"), 1) == one_of(load_chip("loihi2"))
    assert four.sha256() != load_chip("loihi2").sha256()


def test_what_is_broken_or_missing_on_a_chip_is_so_on_each() -> None:
    system = with_chips(small(7, broken=(3,)), 3)
    assert usable_cores(system.topology).tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20, 21, 22]
    assert system.n_cores == 18
    assert [system.topology.works(c) for c in (7, 8, 11, 24, -1)] == [False, True, False, False, False]


@pytest.mark.parametrize("name", ["loihi2-x0", f"loihi2-x{MOST_CHIPS + 1}", "loihi2-x2-x2", "loihi9-x2"])
def test_systems_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"must be 1\.\.1152|system of 2 chips already|is not known"):
        load_chip(name)


def test_a_system_beyond_every_memory_is_refused() -> None:
    wide = msgspec.structs.replace(small(), topology=msgspec.structs.replace(small().topology, width=2**16))
    with pytest.raises(InputError, match=r"gives 301,989,888 cores; a system has at most 8,388,608"):
        with_chips(wide, MOST_CHIPS)
    raw: dict[str, Any] = json.loads(msgspec.json.encode(with_chips(wide, 2)))
    with pytest.raises(InputError, match=r"topology\.chips: gives 301,989,888 cores"):
        parse_chip(json.dumps(raw | {"topology": raw["topology"] | {"chips": MOST_CHIPS}}), "mine.yaml")
    assert load_chip(f"truenorth-x{MOST_CHIPS}").topology.mesh_cores == 4_718_592


def test_a_chip_file_may_be_a_system_and_needs_its_link() -> None:
    raw: dict[str, Any] = json.loads(msgspec.json.encode(with_chips(small(), 2)))
    assert parse_chip(json.dumps(raw), "mine.yaml").topology.chips == 2
    for change, message in (
        ({"link": None}, r"\$\.link: is missing for a system of 2 chips"),
        ({"link": raw["link"] | {"hop": raw["link"]["hop"] | {"value": 0, "low": 0}}}, r"\$\.link\.hop: is 0 ns"),
        ({"link": raw["link"] | {"packet": raw["link"]["packet"] | {"unit": "us"}}}, r"\$\.link\.packet\.unit"),
        ({"topology": raw["topology"] | {"chips": 1153}}, r"\$\.topology\.chips: is 1153"),
        ({"topology": raw["topology"] | {"broken_cores": [16]}}, r"broken_cores\[0\]: is 16; .* each of the 2 chips"),
        ({"topology": raw["topology"] | {"host_port": [4, 0]}}, r"host_port: is \[4, 0\]; the mesh is 4 x 2"),
    ):
        with pytest.raises(InputError, match=message):
            parse_chip(json.dumps(raw | change), "mine.yaml")


def test_a_link_without_times_is_refused_when_timed() -> None:
    chip = with_chips(small(), 2)
    unknown = msgspec.structs.replace(chip.link, packet=msgspec.structs.replace(chip.link.packet, value=None))  # type: ignore[union-attr, type-var]
    mapped = map_network(groups(4, 4), msgspec.structs.replace(chip, link=unknown), "blocks").program
    spikes = run(mapped, inputs(), 30).spikes
    with pytest.raises(InputError, match=r"\$\.link\.packet: was never published"):
        run_timing(mapped, msgspec.structs.replace(chip, link=unknown), spikes)


def walked(topology: Topology, a: tuple[int, int], b: tuple[int, int], crossing: float) -> float:
    """Cost of the way from router a to router b, hop by hop."""
    cost, x = 0.0, a[0]
    while x != b[0]:
        step = 1 if b[0] > x else -1
        cost += crossing if (x + step) // topology.width != x // topology.width else 1.0
        x += step
    return cost + abs(a[1] - b[1])


def test_places_of_a_system_against_all_permutations() -> None:
    topology, crossing = Topology(2, 1, 1, 2, chips=3), 5.0
    router = [(c, 0) for c in range(6)]
    for seed in range(4):
        flow = np.random.default_rng(seed).gamma(0.5, 1, (5, 4))
        costs = []
        for chosen in itertools.permutations(range(6), 4):
            cost = sum(flow[4, p] * walked(topology, (0, 0), router[chosen[p]], crossing) for p in range(4))
            cost += sum(
                flow[p, q] * walked(topology, router[chosen[p]], router[chosen[q]], crossing)
                for p in range(4)
                for q in range(4)
            )
            cores = np.array(chosen, np.int32)
            assert hop_cost(flow, topology, cores, crossing) == pytest.approx(cost)
            leaves = sum(flow[p, q] for p in range(4) for q in range(4) if chosen[p] // 2 != chosen[q] // 2)
            leaves += sum(flow[4, q] for q in range(4) if chosen[q] // 2 != 0)
            assert chip_messages(flow, topology, cores) == pytest.approx(leaves)
            costs.append(cost)
        found = place(flow, topology, seed, exchanges=3000, crossing=crossing)
        assert hop_cost(flow, topology, found, crossing) == pytest.approx(min(costs), rel=1e-6)


def test_a_crossing_counts_as_its_time() -> None:
    chip = load_chip("loihi2-x2")
    assert crossing_of(chip) == pytest.approx((29 + 29) / 4.1)
    assert crossing_of(load_chip("loihi2")) == 1.0
    assert crossing_of(load_chip("truenorth-x2")) == 8.0


def test_groups_stay_on_a_chip() -> None:
    network, chip = groups(8, 20), with_chips(small(neurons=12), 2)
    rates = {"in": np.zeros(8)}  # the host's inputs go to both chips whatever the mapping
    figures = {m: map_network(network, chip, m, rates).figures for m in ("blocks", "builtin")}
    assert figures["builtin"]["chips"] == 2
    inner = float(figures["builtin"]["chip_messages_per_step"])  # type: ignore[arg-type]
    assert inner < 0.2 * float(figures["blocks"]["chip_messages_per_step"])  # type: ignore[arg-type]


def test_fit_names_the_smallest_number_and_compile_fills_it() -> None:
    network, chip = groups(10, 10), small()  # 100 neurons, 5 a core: 20 cores of 8 a chip
    system = [with_chips(chip, n) for n in (1, 2, 3)]
    for few in system[:2]:
        with pytest.raises(FitError, match=r"needs 20 cores.*--chips 3"):
            map_network(network, few)
    mapped = map_network(network, system[2])
    assert mapped.figures["cores"] == 20
    assert all(system[2].topology.works(c) for c in mapped.program.core[mapped.program.core >= 0])


def on_one_large_chip(mapped: Program, steps: int) -> str:
    """Hash of the spikes of the same network on one chip that holds it all."""
    whole = msgspec.structs.replace(small(neurons=200), topology=Topology(8, 8, 1, 64), name="whole")
    network = Network("integer", mapped.populations, mapped.projections)
    return run(map_network(network, whole, "blocks").program, inputs(steps), steps).spikes.spike_hash()


def test_spikes_times_and_energy_of_a_system() -> None:
    network, chip = groups(6, 10), with_chips(small(), 2)
    mapped = map_network(network, chip).program
    what = run(mapped, inputs(), 30)
    assert what.spikes.ids.size > 400
    assert what.spikes.spike_hash() == on_one_large_chip(mapped, 30)
    times = {e: run_timing(mapped, chip, what.spikes, e) for e in ("compiled", "clocked", "simpy")}  # type: ignore[arg-type]
    events, timed = run_events(mapped, chip, inputs(), 30)
    assert events.spikes.spike_hash() == what.spikes.spike_hash()
    for other in (times["clocked"], times["simpy"], timed):
        np.testing.assert_array_equal(other.step_ticks, times["compiled"].step_ticks)
    assert events.activity.counts["hops_chip"].total == what.activity.counts["hops_chip"].total
    check_hops(mapped, chip.topology, what)
    check_energy(chip, mapped, what, times["compiled"].sim_time_ns)


def check_hops(mapped: Program, topology: Topology, what: Any) -> None:
    """Hops of every spike, walked from core to core."""
    count = np.bincount(what.spikes.ids, minlength=mapped.n_neurons)
    along = crossed = 0.0
    for i in np.nonzero(count)[0]:
        q = mapped.projections[0 if i < 8 else 1]
        row = i if i < 8 else i - 8
        cores = set(mapped.core[8 + q.indices[q.indptr[row] : q.indptr[row + 1]]].tolist()) | (
            {-1} if i >= 8 else set()
        )
        for c in cores:
            a, b = (router(topology, int(mapped.core[i])), router(topology, c))
            both = walked(topology, a, b, 1000.0) - abs(a[1] - b[1])
            crossed += count[i] * (both // 1000)
            along += count[i] * (both % 1000)
    assert what.activity.total("hops_chip") == crossed > 0
    assert what.activity.total("hops_ew") == along


def router(t: Topology, core: int) -> tuple[int, int]:
    return t.host_port if core < 0 else divmod(core // t.cores_per_router, t.height)


def check_energy(chip: Chip, mapped: Program, what: Any, time_ns: float) -> None:
    from dataclasses import replace

    energy = dict(chip.energy)
    energy["hop_chip"] = msgspec.structs.replace(energy["hop_chip"], value=50.0)
    known = msgspec.structs.replace(chip, energy=energy)
    report = chip_energy(replace(what.activity, sim_time_ns=time_ns), known, mapped)
    assert report.item("hop_chip").energy_pj == 50.0 * what.activity.total("hops_chip")
    assert report.item("static_chip").energy_pj == pytest.approx(213.0 * time_ns * 2)
    assert report.item("step").energy_pj == pytest.approx(34200.0 * 30 * 2)
    assert "hops from chip to chip" in chip_energy(what.activity, chip, mapped).unknown


def test_the_barrier_pays_for_the_way_to_the_last_chip() -> None:
    network = groups(2, 5)
    quiet = SpikeTrain.from_dense(np.zeros((3, 8), np.int32))
    ticks = []
    for n in (1, 2, 5):
        chip = with_chips(small(), n)
        mapped = map_network(network, chip, "blocks").program
        ticks.append(int(run_timing(mapped, chip, quiet).step_ticks[-1]))
    # work of the first chip, or the token's way to the last chip and back (2 x 290 ticks a link), which goes on meanwhile
    work = ticks[0] - 11575
    assert 0 < work < 580
    assert [t - 11575 for t in ticks] == [work, 580, 4 * 580]


def test_a_model_from_fit_to_energy_on_two_chips(tmp_path: Any) -> None:
    model, few = "examples/digits.safetensors", small(neurons=12)
    verdict = fit(model, few)
    assert (verdict["fits"], verdict["chips"], verdict["cores"]) == (False, 2, 12)
    assert "--chips 2" in verdict["way_out"]
    with pytest.raises(FitError, match="--chips 2"):
        compile(model, few)
    result = compile(model, few, chips=2)
    assert result.report["chip"] == "small-x2"
    assert chip_of_program(result.program) == with_chips(few, 2)
    path = tmp_path / "two.bimhw"
    result.program.save(path)
    done = simulate(path, samples=3, output=tmp_path / "run")
    whole = simulate(compile(model, "loihi2").program, samples=3, output=tmp_path / "whole")
    same = ("accuracy", "spikes_per_sample", "spike_rate")
    assert [done.result[k] for k in same] == [whole.result[k] for k in same]
    assert done.result["mean_step_ticks"] > 0
