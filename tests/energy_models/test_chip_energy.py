"""The energy report against closed forms, against itself (every grouping sums), and against plain sums."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_models.chip_energy import chip_energy, counters
from energy_models.items import time_spreads
from energy_models.learning import LEARNING, composed, learning_counts
from energy_models.spread import weakest
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.chips.energy_keys import ENERGY_UNITS
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity
from simulator.function import run
from simulator.neurons import base
from simulator.program.activity import Activity, Count
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

GROUPINGS = ("item", "hardware", "kind", "core", "population", "step")
COUNTERS = (
    "synaptic_events", "neuron_updates", "spikes", "packets", "packets_in_tile", "hops_ew", "hops_ns",
    "host_packets_in", "random_numbers", "state_resets", "op_mul", "learn_trace_rmw", "learn_weight_updates",
)  # fmt: skip


def dense_two_layers(size: int) -> tuple[Program, SpikeTrain]:
    """Two layers that all fire in step 0; layer 2 on two cores of layer 1's tile, all-to-all, weights 1."""
    params = {k: np.array(v) for k, v in {"dv": 512, "vth": 0, "bias": 64, "strict": 1}.items()}
    populations = (
        Population("one", "lif", size, params),
        Population("two", "lif", size, params),
    )
    indptr, indices, weights = dense_to_csr(np.ones((size, size), np.int8))
    port = base.get("lif").ports[0]
    q = Projection("q", "one", "two", port, indptr, indices, weights, layout="dense")
    core = np.concatenate([np.zeros(size), np.repeat([1, 2], size // 2)]).astype(np.int32)
    chip = load_chip("loihi1-fitted")
    empty = SpikeTrain(np.zeros(2, np.int64), np.zeros(0, np.int32), None)
    return Program(chip.name, chip.sha256(), populations, (q,), core), empty


@pytest.mark.parametrize("size", [2, 40, 400])
def test_closed_form_of_two_dense_layers(size: int) -> None:
    """E = L^2 x 35.5 + 2 L x 142.1 + messages x 111 pJ, messages = 2 L."""
    program, inputs = dense_two_layers(size)
    report = chip_energy(run(program, inputs, 1).activity, load_chip("loihi1-fitted"), program)
    expected = size**2 * 35.5 + 2 * size * 142.1 + 2 * size * 111
    assert report.energy_pj("dynamic") == pytest.approx(expected, rel=1e-12)
    if size == 400:
        assert report.energy_pj("dynamic") / 1e6 == pytest.approx(5.8825, abs=5e-5)


def test_plain_network_equals_its_closed_form(shared: Path) -> None:
    """E = 33.6 events + 72.8 updates + 69.3 spikes + 111 packets + 3.0 / 4.2 hops: SANA-FE's 277.9616535 nJ a step."""
    from bimhw.frontends.npz import read_plain
    from mapping.files import program_as_given

    chip = load_chip("loihi1-fitted")
    net = read_plain(shared / "bench" / "nets" / "s_5.npz")
    program = program_as_given(net.network, chip)
    a = run(program, net.inputs, 200).activity
    report = chip_energy(a, chip, program)
    n = {name: a.total(name) for name in COUNTERS}
    expected = 33.6 * n["synaptic_events"] + 72.8 * n["neuron_updates"] + 69.3 * n["spikes"]
    expected += 111 * n["packets"] + 3.0 * n["hops_ew"] + 4.2 * n["hops_ns"]
    assert report.energy_pj("dynamic") == pytest.approx(expected, rel=1e-12)
    assert report.energy_pj("dynamic") / 200 / 1e3 == pytest.approx(277.9616535, rel=1e-9)


def random_activity(seed: int, sim_time: float | None = 1234.5) -> Activity:
    rng = np.random.default_rng(seed)
    counts = {}
    for name in COUNTERS:
        table = rng.integers(0, 50, (3, 4, 2))  # core, step, population
        counts[name] = Count(table.sum((1, 2)), table.sum((0, 2)), table.sum((0, 1)))
    counts["neuron_updates_active"] = Count(*(c // 3 for c in _groups(counts["neuron_updates"])))
    counts["packets"] = Count(*(c + 1000 for c in _groups(counts["packets"])))
    fixed = _consistent(counts["neuron_updates_active"])
    return Activity(
        counts | {"neuron_updates_active": fixed, "packets": counts["hops_ew"]}, 4, 2, ("a", "b"), sim_time, 2
    )


def _groups(c: Count) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return c.by_core, c.by_step, c.by_population


def _consistent(c: Count) -> Count:
    """Three groupings with one total, the smallest of them."""
    least = min(int(g.sum()) for g in _groups(c))
    return Count(*(_trim(g, least) for g in _groups(c)))


def _trim(values: np.ndarray, total: int) -> np.ndarray:
    out, rest = np.zeros_like(values), total
    for k, v in enumerate(values):
        out[k] = min(int(v), rest)
        rest -= int(out[k])
    return out


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["loihi1", "loihi1-fitted"]))
def test_items_sum_to_totals_by_every_grouping(seed: int, name: str) -> None:
    report = chip_energy(random_activity(seed), load_chip(name))
    total = report.energy_pj()
    for grouping in GROUPINGS:
        assert sum(report.by(grouping).values()) == pytest.approx(total, rel=1e-12), grouping  # type: ignore[arg-type]
    assert report.low_pj() <= total <= report.high_pj() + 1e-9
    for item in report.items:
        for part in ("by_core", "by_step", "by_population"):
            assert getattr(item.counts, part).sum() == pytest.approx(item.count, rel=1e-12), (item.name, part)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(COUNTERS), st.integers(1, 10**9))
def test_doubling_a_count_doubles_its_item(name: str, n: int) -> None:
    chip = load_chip("loihi1-fitted")
    one = chip_energy(Activity(counters({name: n}), 1, 1, ("network",)), chip)
    two = chip_energy(Activity(counters({name: 2 * n}), 1, 1, ("network",)), chip)
    for a, b in zip(one.items, two.items, strict=True):
        if a.kind == "dynamic" and a.hardware != "barrier":
            assert b.count == 2 * a.count
            assert b.energy_pj == (None if a.energy_pj is None else pytest.approx(2 * a.energy_pj, rel=1e-15))


def test_static_power_is_power_times_time() -> None:
    report = chip_energy(random_activity(1, 2e6), load_chip("loihi1"))
    assert report.item("static power").energy_pj == pytest.approx(104.4e-3 * 2e-3 * 1e12)  # 104.4 mW x 2 ms in pJ
    assert report.by("kind")["static"] == report.energy_pj("static")


def test_unknown_constants_stay_unknown_until_bounded() -> None:
    activity = Activity(counters({"spikes": 10, "synaptic_events": 5}), 1, 1, ("network",))
    chip = load_chip("loihi1")
    report = chip_energy(activity, chip)
    assert "spikes" in report.unknown and report.item("spikes").energy_pj is None
    assert report.energy_pj("dynamic") == pytest.approx(5 * 23.6)
    assert report.item("barriers").high_pj is None and "barriers" in report.unbounded
    bound = chip_energy(activity, chip, bounds={"barrier": (0.0, 500.0)})
    assert bound.item("barriers").high_pj == 500 and bound.item("barriers").energy_pj is None
    assert "bounds given by the user" in bound.item("barriers").explain()
    with pytest.raises(InputError, match="is not an energy key"):
        chip_energy(activity, chip, bounds={"barier": (0, 1)})
    with pytest.raises(InputError, match="low <= high"):
        chip_energy(activity, chip, bounds={"barrier": (2, 1)})


def test_no_item_without_a_source() -> None:
    for name in ("loihi1", "loihi1-fitted"):
        for item in chip_energy(random_activity(3), load_chip(name)).items:
            assert item.constant.source and item.constant.quality
            assert str(item.constant.value) in item.explain() or item.constant.value is None or item.constant.where


def programmable(native: int, other: int, steps: int) -> tuple[Program, Activity]:
    populations = (
        Population("native", "lif", native, {"dv": np.array(0), "vth": np.array(5)}),
        Population("own", "izhikevich", other, {}),
    )
    core = np.concatenate([np.zeros(native), np.arange(other) % 2]).astype(np.int32)
    program = Program("loihi2", "", populations, (), core)
    sizes, ops = np.array([native, other]), [base.get(p.model).ops for p in populations]
    cores = np.zeros((2, 129), np.int64)
    first = 0
    for k, n in enumerate(sizes):
        np.add.at(cores[k], core[first : first + n], 1)
        first += n
    counts = {}
    for counter, factors in {
        "neuron_updates": [1, 1],
        "op_mul": [o.mul for o in ops],
        "op_add": [o.add for o in ops],
        "op_state_read": [o.state_read for o in ops],
        "op_state_write": [o.state_write for o in ops],
    }.items():
        f = np.array(factors)
        counts[counter] = Count(f @ cores * steps, np.full(steps, f @ sizes), f * sizes * steps)
    return program, Activity(counts, steps, 1, ("native", "own"))


def test_only_models_without_a_constant_are_charged_by_operations() -> None:
    chip, (program, activity) = load_chip("loihi2"), programmable(3, 5, 7)
    report = chip_energy(activity, chip, program)
    ops = base.get("izhikevich").ops
    assert report.item("neuron operations: mul").count == 5 * 7 * ops.mul
    assert report.item("neuron updates, inactive").count == 3 * 7
    expected = 5 * 7 * (ops.mul * 1.4 + ops.add * 1.2 + ops.state_read * 3.7 + ops.state_write * 3.9) + 3 * 7 * 52
    assert report.energy_pj("dynamic") - 7 * 34200 == pytest.approx(expected, rel=1e-9)  # and the steps of the chip
    by_core = report.by("core")
    own = expected - 3 * 7 * 52
    assert by_core["0"] == pytest.approx(3 * 7 * 52 + own * 3 / 5) and by_core["1"] == pytest.approx(own * 2 / 5)
    with pytest.raises(InputError, match="Give the program"):
        chip_energy(activity, chip)
    with pytest.raises(InputError, match="was not counted on this program"):
        chip_energy(Activity(activity.counts, 7, 1, ("x", "y")), chip, program)


def test_layouts_have_constants_of_their_own() -> None:
    activity = Activity(
        counters({"synaptic_events": 10, "synaptic_events_dense": 4, "synaptic_events_conv": 1}), 1, 1, ("n",)
    )
    fitted = chip_energy(activity, load_chip("loihi1-fitted"))
    assert fitted.energy_pj("dynamic") == pytest.approx(4 * 35.5 + 24.0 + 5 * 33.6)
    assert chip_energy(activity, load_chip("loihi1")).energy_pj("dynamic") == pytest.approx(10 * 23.6)


def test_learning_counts_are_those_of_the_derivation() -> None:
    """M = H = 128, alpha: 229k trace read-modify-writes and 49k weight MACs a step."""
    n = learning_counts(128, 128, "alpha", 10)
    assert n["learn_trace_rmw"] == 14 * 128 * 128 == 229376
    assert n["learn_weight_mac"] == 3 * 128 * 128 == 49152
    assert n["learn_trace_mac"] + n["learn_weight_mac"] == 557056
    assert n["learn_error_mac"] == 1280
    assert learning_counts(128, 128, "delta", filtered=False)["learn_trace_rmw"] == 5 * 128 * 128
    assert learning_counts(10, 20, "exp", density=0.5)["learn_trace_rmw"] == 11 * 100
    assert learning_counts(4, 5, "exp", 2, optimiser="adam")["learn_optimiser_rmw"] == 6 * 20
    assert "learn_weight_mac" not in learning_counts(4, 5, "exp", 2, labelled=False)
    assert learning_counts(10, 20, "exp", stdp_rates=(0.1, 0.2))["learn_stdp_events"] == 60
    with pytest.raises(InputError):
        learning_counts(0, 5)


def test_learning_operations_are_charged_as_composed() -> None:
    report = chip_energy(
        Activity(counters({"learn_trace_rmw": 100, "learn_trace_mac": 200, "learn_weight_updates": 3}), 1, 1, ("n",)),
        msgspec.structs.replace(load_chip("loihi2"), capabilities=load_chip("loihi1").capabilities),
    )
    assert report.by("hardware")["learning"] == pytest.approx(100 * (3.7 + 3.9) + 200 * (1.4 + 1.2) + 3 * 120)
    assert report.item("learning: trace rmw").constant.quality == "assumed"


def test_a_composed_constant_is_as_good_as_its_worst_part() -> None:
    parts = [Quantity(3.0, "pJ", "a", "measured"), Quantity(1.0, "pJ", "b", "assumed", low=0.5, high=4.0)]
    for order in (parts, parts[::-1]):
        whole = composed(("x", "y"), order)
        assert (whole.low, whole.value, whole.high, whole.quality) == (3.5, 4.0, 7.0, "assumed")
    unknown = composed(("x", "y"), [parts[0], Quantity(None, "pJ", "c", "unverified")])
    assert (unknown.value, unknown.quality) == (None, "unverified")


def test_learning_counters_are_the_simulators() -> None:
    import simulator.plasticity.words.counts as counted

    named = {
        word.strip("`") for word in (counted.__doc__ or "").replace(",", " ").split() if word.startswith("``learn_")
    }
    assert {n.strip("`.,;") for n in named} <= set(LEARNING)
    for choices in LEARNING.values():
        for keys in choices:
            assert set(keys) <= set(ENERGY_UNITS)


def test_dimensions() -> None:
    """Energies scale with pJ constants and with power x time, and with nothing else."""
    chip = load_chip("loihi1-fitted")
    activity = random_activity(5, 1000.0)

    def scaled(unit: str, factor: float) -> Chip:
        def one(q: Quantity) -> Quantity:
            if q.unit != unit or q.value is None:
                return q
            return Quantity(q.value * factor, q.unit, q.source, q.quality)

        return msgspec.structs.replace(chip, energy={k: one(q) for k, q in chip.energy.items()})

    whole = chip_energy(activity, chip)
    assert chip_energy(activity, scaled("pJ", 3)).energy_pj("dynamic") == pytest.approx(3 * whole.energy_pj("dynamic"))
    assert chip_energy(activity, scaled("pJ", 3)).energy_pj("static") == whole.energy_pj("static")
    assert chip_energy(activity, scaled("mW", 3)).energy_pj("static") == pytest.approx(3 * whole.energy_pj("static"))
    longer = Activity(activity.counts, 4, 2, ("a", "b"), 2000.0, 2)
    assert chip_energy(longer, chip).energy_pj("static") == pytest.approx(2 * whole.energy_pj("static"))


def test_figures_are_ratios_of_totals() -> None:
    a = random_activity(9)
    report = chip_energy(a, load_chip("loihi1-fitted"))
    f = report.figures()
    assert f["total_pj_per_synop"] == pytest.approx(report.energy_pj() / a.total("synaptic_events"))
    assert f["total_uj_per_inference"] == pytest.approx(report.energy_pj() / 1e6 / 2)
    assert f["total_nj_per_step"] == pytest.approx(report.energy_pj() / 1e3 / 4)
    no_time = chip_energy(random_activity(9, None), load_chip("loihi1-fitted"))
    assert no_time.energy_pj("static") == 0 and any("no timing engine" in x for x in no_time.assumptions)


def test_energy_delay_product_by_hand() -> None:
    """Joules of a sample times its seconds; the ends are products of the ends."""
    chip = load_chip("loihi1-fitted")
    report = chip_energy(random_activity(1, 4e6), chip)
    n = report.samples
    joules = [pj * 1e-12 / n for pj in (report.low_pj(), report.energy_pj(), report.high_pj())]
    seconds = 4e6 * 1e-9 / n
    assert report.figures()["energy_delay_product_js"] == pytest.approx(joules[1] * seconds)
    us = (0.5e6 * seconds, 1e6 * seconds, 3e6 * seconds)
    found = time_spreads(report, us, "fitted")
    product, whole = found["energy_delay_product_js"], found["sim_time_ns"]
    ends = joules[0] * seconds / 2, joules[1] * seconds, joules[2] * seconds * 3
    assert (product.low, product.nominal, product.high) == pytest.approx(ends)
    assert (whole.low, whole.nominal, whole.high) == pytest.approx((2e6, 4e6, 12e6)) and whole.word == "fitted"
    assert product.word == weakest(("fitted", report.spreads()["total_pj"].word))
    assert time_spreads(report, None, "fitted") == {}


def test_packets_received_by_hand() -> None:
    """Cores receive what cores send to cores, and what the host sends; the host's own packets are an item of the host."""
    chip = load_chip("loihi2")
    priced = dict(chip.energy) | {
        k: Quantity(v, "pJ", "test", "assumed") for k, v in (("packet_in", 5.0), ("host_packet", 7.0))
    }
    chip = msgspec.structs.replace(chip, energy=priced)
    counts = counters({"packets": 10, "host_packets_out": 3, "host_packets_in": 4})
    report = chip_energy(Activity(counts, 1, 1, ("network",)), chip)
    assert report.item("packet_in").count == 10 - 3 + 4 and report.item("packet_in").energy_pj == 55.0
    assert report.item("host_packet").count == 3 + 4 and report.item("host_packet").energy_pj == 49.0


def test_packets_from_one_to_one_are_received_at_a_price_of_their_own() -> None:
    """Of 14 received, 5 find their synapse in the core's own memory; a chip without that price takes all 14 alike."""
    counts = counters({"packets": 10, "host_packets_in": 4, "packets_one_to_one": 5})
    activity = Activity(counts, 1, 1, ("network",))
    board, other = (chip_energy(activity, load_chip(name)) for name in ("spinnaker1", "loihi1"))
    assert (board.item("packet_in").count, board.item("packet_in_own").count) == (9, 5)
    assert other.item("packet_in").count == 14 and "packet_in_own" not in {i.key for i in other.items}


def test_a_programmed_neuron_pays_for_its_own_parameters() -> None:
    """Two of four Izhikevich parameters differ between the neurons: 2 words a neuron and step at 3.7 pJ."""
    chip = load_chip("loihi2")
    params = {"a": np.array(1311), "b": np.array([1, 2, 3]), "c": np.array(-9), "d": np.array([5, 5, 6])}
    program = Program(
        chip.name, chip.sha256(), (Population("n", "izhikevich", 3, params, layer=1),), (), np.zeros(3, np.int32)
    )
    activity = Activity(counters({"neuron_updates": 30}, ("n",)), 1, 1, ("n",))
    item = chip_energy(activity, chip, program).item("neuron operations: parameter read")
    assert item.count == 60 and item.energy_pj == pytest.approx(60 * 3.7)


def test_leaves_of_a_packet_are_received_each() -> None:
    chip = load_chip("generic")
    one = chip_energy(Activity(counters({"packets": 10}), 1, 1, ("network",)), chip)
    trees = chip_energy(Activity(counters({"packets": 10, "packets_received": 35}), 1, 1, ("network",)), chip)
    assert one.item("packets received").count == 10
    assert trees.item("packets received").count == 35
    assert trees.item("packets sent").count == 10


def test_tokens_stand_in_for_the_barrier() -> None:
    chip = load_chip("loihi1-fitted")
    assert "barrier" in chip.energy
    barrier = chip_energy(Activity(counters({"packets": 1}), 5, 1, ("network",)), chip)
    tokens = chip_energy(
        Activity(counters({"packets": 1, "sync_tokens": 8, "sync_token_hops": 12}), 5, 1, ("network",)), chip
    )
    assert "barriers" in {i.name for i in barrier.items}
    assert "barriers" not in {i.name for i in tokens.items}
    hops = tokens.item("tokens between neighbours, hops")
    assert hops.count == 12 and not hops.known  # this chip has no constant for one
