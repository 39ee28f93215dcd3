"""Causes of what silicon shows: spread of steps, operations of rules, static power of boards, the vendors' constants alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bimhw.evidence.silicon import counts, pilotnet, spread, vendor
from bimhw.evidence.silicon.compare import compare_silicon, vendors_alone
from simulator.base.errors import InputError
from simulator.chips.load import load_chip

LIF = """lif: {num_steps: 100, fps: 100, dynamic_W: 0.5, steps_per_frame: 2, cores_per_layer: {a: 1, b: 2},
  neurons_per_core: {a: 1, b: 1}}
"""
ACTIVITY = "core_idx,syn_ops,neuron_updates,spikes_out,spikes_in\n0,1.5e7,0,0,0\n1,1.2e7,0,0,0\n2,1.3e7,0,0,0\n"


@pytest.mark.parametrize(("means", "c"), [((100.0,), 0.3), ((100.0, 90.0), 0.26), ((5.0, 5.0, 1.0, 4.0), 0.8)])
def test_longest_of_independent_works(means: tuple[float, ...], c: float) -> None:
    """The integral against 400,000 draws."""
    sigma = np.sqrt(np.log1p(c * c))
    draws = np.exp(np.random.default_rng(1).normal(size=(400_000, len(means))) * sigma - sigma**2 / 2) * means
    longest = draws.max(axis=1)
    mean, shape = spread.longest(means, c)
    assert mean == pytest.approx(longest.mean(), rel=5e-3) and shape == pytest.approx(longest.std() / mean, rel=1e-2)
    assert mean >= max(means) * (1 - 1e-3) and spread.coefficient(means, shape) == pytest.approx(c, rel=1e-3)
    assert spread.longest(means, 0.0) == (max(means), 0.0)


def write_run(folder: Path, factor: float = 1.0, trace: bool = True) -> float:
    folder.mkdir()
    (folder / "p.yaml").write_text(LIF)
    (folder / "lif_activity.csv").write_text(ACTIVITY)
    if trace:
        steps = [f"{k},{factor * (100 + 40 * (k % 2))}" for k in range(20)]
        (folder / "lif_times.csv").write_text("step,time_us\n" + "\n".join(steps))
    (found,) = compare_silicon(folder).sets
    (row,) = found.judged("step time")
    return row.predicted


def test_step_time_reads_the_shape_of_a_trace_and_never_its_mean(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b", 3.0)
    assert first == pytest.approx(second, rel=1e-9)
    work = np.array([1.5e5, 1.3e5]) * 0.7
    c = spread.coefficient(list(work), 20 / 120)
    assert first == pytest.approx((spread.longest(list(work), c)[0] + 1157.5) / 1e3, rel=1e-9)  # one tile
    stored = write_run(tmp_path / "c", trace=False)
    assert stored == pytest.approx((spread.longest(list(work), spread.STORED)[0] + 1157.5) / 1e3, rel=1e-9)


def test_stored_spread_is_that_of_the_published_run(shared: Path) -> None:
    (found,) = compare_silicon(shared / "data/measured/loihi2_pilotnet").sets
    (row,) = found.judged("step time")
    assert f"{100 * spread.STORED:.1f} %" in found.fitted[1] and abs(row.error) < 0.2 and row.core_time < row.measured
    energy, time = (found.figure(q) for q in ("dynamic energy", "step time"))
    assert energy is not None and energy < 0.02 and time is not None


def test_layers_need_their_cores() -> None:
    cores = [{"syn_ops": "1"}, {"syn_ops": "2"}]
    chip = load_chip("loihi2")
    assert (
        pilotnet.layer_works_ns({}, cores, 1, chip)
        == []
        == pilotnet.layer_works_ns({"cores_per_layer": {"a": 3}}, cores, 1, chip)
    )


def test_rule_operations() -> None:
    seneca = load_chip("seneca")
    two = {"op_mul": 1, "op_add": 1, "op_state_read": 2, "op_state_write": 1}
    assert counts.rule_operations("x*y") == two
    assert counts.rule_operations("x*y*z + x*w") == {"op_mul": 3, "op_add": 2, "op_state_read": 3, "op_state_write": 1}
    assert counts.energy_pj(seneca, {"rule": "x*y"}) == pytest.approx(1.4 + 1.4 + 2 * 3.7 + 3.9)
    assert counts.energy_pj(seneca, {"rule": "x*y*z"}) == pytest.approx(2 * 1.4 + 1.4 + 3 * 3.7 + 3.9)
    with pytest.raises(ValueError, match="without factors"):
        counts.rule_operations("x*y + ")


def test_total_energy_holds_static_power() -> None:
    """Two boards of 2.67 W for a microsecond, and one update of 89.6 nJ."""
    row = {"neuron_updates": "1", "time_ns": "1000", "boards": "2"}
    chip = load_chip("spinnaker1")
    assert counts.energy_pj(chip, row, True) == pytest.approx(89_600 + 2 * 2670 * 1000)
    assert counts.energy_pj(chip, row) == pytest.approx(89_600)


def test_unknown_quantity_stops(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("chip,network,quantity,measured_pj,judges\nspinnaker1,a,heat,5,yes\n")
    with pytest.raises(InputError, match="heat"):
        compare_silicon(tmp_path)


def test_vendors_constants_alone(tmp_path: Path) -> None:
    chip = vendor.loihi2()
    assert "step" not in chip.energy and chip.timing is not None and chip.timing.barrier.value == 200
    write_run(tmp_path / "a", trace=False)
    (theirs,) = vendors_alone(tmp_path / "a").sets
    (own,) = compare_silicon(tmp_path / "a").sets
    assert own.rows[1].predicted - theirs.rows[1].predicted == pytest.approx((1157.5 - 200) / 1e3)
    table = "chip,network,measured_pj,judges,neuron_updates\nspinnaker1,a,26000,yes,1\n"
    (tmp_path / "a" / "t.csv").write_text(table)
    found = next(s for s in vendors_alone(tmp_path / "a").sets if s.kind == "counts")
    assert found.figure("dynamic energy") == pytest.approx(0)


def test_a_variant_exchanges_its_own_constants() -> None:
    """One group is fitted, the rest the vendor's; what all groups leave is one set's own constants."""
    plain, whole = vendor.chips(), {name: load_chip(name) for name in vendor.chips()}
    for group, keys in vendor.GROUPS.items():
        for name, chip in vendor.VARIANTS[group]().items():
            expected = {k: (whole if k in keys else plain)[name].energy.get(k) for k in {*chip.energy, *keys}}
            assert dict(chip.energy) == {k: q for k, q in expected.items() if q is not None}, (group, name)
    board = vendor.VARIANTS["board, 2012"]()["spinnaker1"]
    row = {"neuron_updates": "2", "neuron_updates_active": "2", "synaptic_events": "3", "spikes": "5", "packets": "7"}
    assert counts.energy_pj(board, row) == pytest.approx(2 * 100e3 + 3 * 43e3)


def test_energies_follow_the_square_of_the_supply() -> None:
    chip = load_chip("truenorth")
    own = counts.energy_pj(chip, {"synaptic_events": "1e6", "hops_ew": "10"})
    assert own == pytest.approx(1.39e6 + 23)
    low = counts.energy_pj(chip, {"synaptic_events": "1e6", "hops_ew": "10", "supply_v": "0.7"})
    assert low == pytest.approx(own * (0.7 / 0.775) ** 2)
    with pytest.raises(InputError, match="does not state its supply"):
        counts.energy_pj(load_chip("seneca"), {"spikes": "1", "supply_v": "0.7"})


def test_odin_at_both_points_of_its_paper() -> None:
    """Leakage, clock and operations: 477 uW at 75 MHz; 35 uW at 1.3 MHz, where 12.7 pJ an operation would give 8 uW."""
    odin = load_chip("odin")
    fast = counts.energy_pj(odin, {"synaptic_events": "37.5e6", "time_ns": "1e9"}, with_static=True)
    assert fast / 1e6 == pytest.approx(477, rel=2e-3)
    operations = counts.energy_pj(odin, {"synaptic_events": "0.65e6"}) / 1e6
    assert 27.3 + 1.78 * 1.3 + operations == pytest.approx(35, rel=5e-3)


def test_truenorth_at_its_benchmark() -> None:
    """72 mW at 0.775 V with 20 Hz and 128 synapses (its static power was set by it), 26 pJ a synaptic event all in all."""
    neurons, spikes = 2**20, 20 * 2**20
    row = {"neuron_updates": f"{1000 * neurons}", "synaptic_events": f"{128 * spikes}", "time_ns": "1e9"}
    row |= {"hops_ew": f"{21.3 * spikes}", "hops_ns": f"{21.3 * spikes}"}
    power = counts.energy_pj(load_chip("truenorth"), row, with_static=True) / 1e9
    assert power == pytest.approx(72, rel=2e-3)
    assert power * 1e9 / (128 * spikes) == pytest.approx(26, rel=0.04)


def test_row_fetch_of_spinnaker_is_what_two_networks_give() -> None:
    """Two networks, two unknowns: energy of a packet that fetches a row, and of a synapse; the others are predicted."""
    energy = load_chip("spinnaker1").energy
    neuron, spike = (float(energy[k].value or 0) for k in ("neuron_update_active", "spike"))
    rest = [1541e6 - 15810 * neuron - spike, 2789e6 - 15828 * neuron - 18 * spike]
    packet, synapse = np.linalg.solve([[62, 15809], [1116, 142290]], rest)
    assert energy["packet_in"].value == pytest.approx(packet, rel=0.03)
    assert energy["synaptic_event"].value == pytest.approx(synapse, rel=0.02)
    assert (2246e6 - 15810 * neuron - 7905 * (spike + synapse)) / 7905 == pytest.approx(88e3, rel=0.05)


def test_published_tables_judge_five_chips() -> None:
    """Sets whose constants were fitted elsewhere: their errors, pinned."""
    figures = {(s.name, s.kind): s for s in compare_silicon().sets}
    spinn5 = figures["spinnaker1-spinn5.csv: spinnaker1", "counts"]
    assert spinn5.figure("dynamic energy") == pytest.approx(0.037, abs=0.001)
    assert figures["spinnaker1-spinn5.csv: spinnaker1", "learning"].figure("learning energy") == pytest.approx(
        0.208, abs=1e-3
    )
    assert figures["odin.csv: odin", "counts"].figure("dynamic energy") == pytest.approx(0.017, abs=0.001)
    assert figures["truenorth.csv: truenorth", "counts"].figure("dynamic energy") == pytest.approx(0.136, abs=0.001)
    near = figures["loihi1-nearest-neighbour.csv: loihi1-fitted", "counts"]
    assert near.figure("dynamic energy") is None and [round(r.error, 2) for r in near.rows] == [-0.02, 0.70]
