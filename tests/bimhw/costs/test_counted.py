"""Learning counted from a run of inference, against the learner itself: energy and time of every form on three nets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from benchmarks.counted_learning import NETS, PLANS, Case, learnt_run, made, ratios
from bimhw.costs.codesign import codesign
from bimhw.costs.copies import learning_throughput, throughput, together
from bimhw.costs.counted import CHIP_FORMS, LearningPlan, count_learning, count_learnt, forms_of
from bimhw.costs.explain import chip_rows, explain_card, explain_chip
from bimhw.costs.learning import LearningPrice
from bimhw.costs.pilot import Pilot, most_samples
from bimhw.costs.rows import modes
from bimhw.runs.folder import RunFolder
from bimhw.runs.time_range import time_note, time_range
from bimhw.tasks import load_task
from energy_models.chip_energy import chip_energy
from energy_models.gpu_card import load_gpu
from energy_models.times import at_end, time_ratios
from mapping.copies import most_copies, replicate
from simulator.base.errors import FitError, InputError
from simulator.program.program import HOST, Program
from simulator.timing.run import run_timing

SAMPLES = 8
S6 = {
    "delta": {"kind": "s6", "n_states": 2, "hidden": (24,), "psp": "delta"},
    "zoh, exp, two layers": {
        "kind": "s6", "n_states": 3, "hidden": (20, 16), "psp": "exp", "discretisation": "zoh",
    },
    "alpha": {"kind": "s6", "n_states": 4, "hidden": (12,), "psp": "alpha"},
}  # fmt: skip


@pytest.fixture(scope="module", params=list(NETS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return a compiled net of its own kernel and depth, and its run on samples of digits."""
    return made(NETS[request.param], tmp_path_factory.mktemp("net"), SAMPLES)


@pytest.fixture(scope="module", params=list(S6))
def selective(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return the same of S6 layers, whose B and C are shared by all channels."""
    return made(S6[request.param], tmp_path_factory.mktemp("net"), SAMPLES)


def simulated(case: Case, form: str) -> tuple[Any, dict[str, int]]:
    """Return what the learner itself did on the same samples, its learning phases timed."""
    learner, learnt = learnt_run(case, LearningPlan(form, 5, 4))
    return chip_energy(learnt.activity, case.chip, learner.program), learner.counts.totals()


@pytest.mark.parametrize("form", CHIP_FORMS)
def test_counted_learning_costs_what_the_learner_costs(case: Case, form: Any) -> None:
    assert forms_of(case.program) == CHIP_FORMS
    agrees(case, form)


def test_an_update_without_a_label_since_the_last_one_changes_nothing(case: Case) -> None:
    """Labels stand at the steps 8..15 of 16: two of the four updates of TR with K = 4 see an error."""
    assert case.program.facts.output.loss == tuple(range(8, 16))
    plan = LearningPlan("tr", block=4, lookback=0)
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, plan)
    _, nominal, high = (a.total("learn_random") for a in counted.activities)
    assert 0.75 * high / 2 < nominal < high / 2  # 3 of 4 hidden neurons, the readout's all


@pytest.mark.parametrize("form", ["seq", "tr"])
def test_counted_learning_of_s6(selective: Case, form: Any) -> None:
    """S6 sweeps its states and sends sums to the neurons of B and C, which walk the same events a step later."""
    assert forms_of(selective.program) == ("seq", "tr")
    operations = agrees(selective, form)
    assert operations["learn_shared_words"] > 0


def agrees(case: Case, form: Any) -> dict[str, int]:
    """Compare counted energy and time with the learner's; return its operations."""
    report, operations = simulated(case, form)
    counted = count_learning(
        case.program, case.spikes, case.activity, case.chip, LearningPlan(form, block=5, lookback=4)
    )
    low, nominal, high = (chip_energy(a, case.chip, case.program) for a in counted.activities)
    assert nominal.energy_pj() == pytest.approx(report.energy_pj(), rel=0.05)
    assert nominal.sim_time_ns == pytest.approx(report.sim_time_ns, rel=0.05)
    assert low.low_pj() <= report.low_pj() and high.high_pj() >= report.energy_pj()  # no range below the simulated one
    exact = {"learn_trace_rmw", "learn_sweep_mac", "learn_history_read", "learn_history_write", "learn_feature_rmw",
             "learn_trace_mac", "learn_optimiser_rmw", "learn_lut", "learn_shared_words", "learn_error_words"}  # fmt: skip
    for name in exact & set(operations):
        assert counted.activities[1].total(name) == operations[name], name
    for name in ("learn_weight_updates", "learn_optimiser_mac", "learn_random"):
        ends = [a.total(name) for a in counted.activities]
        assert ends[0] <= operations[name] <= ends[2], name
    if "learn_events" in operations:  # weights move while it learns, and spikes with them
        assert counted.activities[1].total("learn_events") == pytest.approx(operations["learn_events"], rel=0.1)
    return operations


def test_spikes_of_learning_layers_have_a_range(case: Case) -> None:
    """0.75 to 1.5 times those of inference; the inputs' events are known, so a layer that reads only inputs replays no range."""
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, LearningPlan("blk", 16))
    low, nominal, high = (
        {n: a.total(n) for n in ("spikes", "host_packets_in", "learn_events")} for a in counted.activities
    )
    assert low["host_packets_in"] == nominal["host_packets_in"] == high["host_packets_in"] > 0
    assert (low["spikes"], high["spikes"]) == pytest.approx((0.75 * nominal["spikes"], 1.5 * nominal["spikes"]), abs=1)
    below, above = nominal["learn_events"] - low["learn_events"], high["learn_events"] - nominal["learn_events"]
    layers = sum(p.role == "hidden" for p in case.program.populations)
    assert above == pytest.approx(2 * below, abs=2) and (below > 0) == (layers > 1)


def test_samples_that_are_counted_lie_all_over_the_run(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight samples two are counted: the first and the fifth, each followed by the silent steps of learning."""
    spikes, steps = case.spikes, case.program.meta["chip_steps"]
    monkeypatch.setattr("bimhw.costs.plan.COUNTED_STEPS", 2 * steps + 8)
    counted = count_learning(case.program, spikes, case.activity, case.chip, LearningPlan("seq"))
    assert counted.samples == 2 and counted.spikes.steps > 2 * steps
    half = counted.spikes.steps // 2
    for k, sample in enumerate((0, 4)):
        own, there = counted.spikes.ptr[k * half :], spikes.ptr[sample * steps :]
        assert np.array_equal(np.diff(own[: steps + 1]), np.diff(there[: steps + 1])) and own[half] == own[steps]
        assert np.array_equal(counted.spikes.ids[own[0] : own[half]], spikes.ids[there[0] : there[steps]])
    assert counted.activities[1].samples == SAMPLES


@pytest.mark.parametrize("case", ["exp"], indirect=True)
def test_a_run_that_learnt_counted_from_its_own_spikes(case: Case) -> None:
    """On the learner's own spikes and shares of errors, every counter is the learner's."""
    recounts(case, "tr", 1)


@pytest.mark.long
@pytest.mark.parametrize(("form", "block"), [("dense", 5), ("seq", 5), ("tr", 16), ("tr", 4), ("tr", 1), ("blk", 1)])
def test_every_form_counted_from_its_own_spikes(case: Case, form: str, block: int) -> None:
    recounts(case, form, block)


def recounts(case: Case, form: str, block: int) -> None:
    """Count a run that learnt; a core's waits differ a little, for the shares of errors are spread evenly over the steps."""
    learner, learnt = learnt_run(case, LearningPlan(form, block, 4))
    own = learnt.activity
    counted = count_learnt(learner.program, learnt.spikes, own, case.chip).activities[1]
    assert set(counted.counts) == set(own.counts)
    for name in own.counts:
        assert counted.total(name) == pytest.approx(own.total(name), rel=0.01, abs=1), name
    both = [chip_energy(a, case.chip, learner.program).energy_pj() for a in (counted, own)]
    assert both[0] == pytest.approx(both[1], rel=0.015)
    costs = bimhw.energy(own, case.chip, program=learnt.program, spikes=learnt.spikes)
    found = re.search(r"shares of errors: ([0-9.]+) of", " ".join(costs.notes))
    assert found and float(found[1]) == pytest.approx(1, abs=0.05)  # of the weights that it came to


@pytest.mark.parametrize("case", ["exp"], indirect=True)
def test_a_pilot_of_all_samples_is_the_run(case: Case) -> None:
    """Corrected by the learner itself, every counter and the time are the learner's."""
    plan = LearningPlan("tr", 4, 4)
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, plan)
    known = Pilot(case.task, SAMPLES).correct(counted, case.program, case.chip)
    own = learnt_run(case, plan)[1].activity
    for name in own.counts.keys() & counted.activities[1].counts.keys():
        assert known.activities[1].total(name) == pytest.approx(own.total(name), rel=2e-3, abs=2), name
    assert known.activities[1].sim_time_ns == pytest.approx(own.sim_time_ns, rel=1e-2)  # counted from its spikes
    for name in counted.activities[1].counts:
        low, nominal, high = (a.total(name) for a in known.activities)
        assert low <= nominal <= high, name
    with pytest.raises(InputError, match="must be in 2"):
        bimhw.energy(case.activity, case.chip, program=case.program, spikes=case.spikes, pilot=Pilot(case.task, 9))


@pytest.mark.parametrize("samples", [24, pytest.param(160, marks=pytest.mark.long)])
def test_a_pilot_of_all_samples_of_two_layers(tmp_path: Path, samples: int) -> None:
    """Calibrated on the task's samples as the run is, not on the pilot's own: else the two drift apart by 10 %."""
    case, plan = made(NETS["alpha, two layers"], tmp_path, samples), LearningPlan("tr", 1, 32)
    assert most_samples(case.program) == 250
    plain, _, own, low, high = ratios(case, plan, 2)
    assert plain < 0.97 and own == pytest.approx(1, abs=0.015) and low < 1 < high


@pytest.mark.long
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_pilot_of_half_the_samples_counts_all(case: Case, plan: LearningPlan) -> None:
    """Spikes of two layers nearly double where weights change at every step."""
    _, energy, own, low, high = ratios(case, plan, SAMPLES // 2)
    assert energy == pytest.approx(1, abs=0.05)
    assert own == pytest.approx(1, abs=0.05)  # as `bimhw energy` prints
    assert low <= 1 <= high  # ends at the chip's own ends


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a small net on three samples of digits."""
    folder = tmp_path_factory.mktemp("run")
    program = made(NETS["delta"] | {"hidden": (8,)}, folder, 2).program
    return bimhw.simulate(program, "digits", 3, output=folder / "run").folder


def test_forms_that_update_every_step_learn_a_pilot_by_themselves(digits_run: Path) -> None:
    """By default, of tr and blk with an update every 1 to 3 steps; what cannot or must not be done is said."""
    run = RunFolder.open(digits_run)
    fast, slow = LearningPlan(block=3, lookback=1), LearningPlan(block=4)
    rows = {r.how: r for r in bimhw.energy(run, plan=fast, copies=1).rows() if r.work == "learning"}
    assert {how: r.pilot for how, r in rows.items()} == {"dense": None, "seq": None, "tr": 3, "blk": 3}
    assert rows["tr"].what == "inference + learning (truncated TR, counted, pilot of 3)"
    plain = bimhw.energy(run, plan=fast, copies=1, pilot=False)
    alone = {r.how: r for r in plain.rows() if r.work == "learning"}
    assert alone["tr"].pilot == 0 and alone["tr"].what.endswith("counted, no pilot)") and rows["seq"] == alone["seq"]
    assert "none was asked for" in " ".join(plain.notes)
    pilot = Pilot(load_task("digits"), 3)
    (counted,) = (c for c in bimhw.energy(run, plan=fast, copies=1, pilot=pilot).learning if c.plan.form == "tr")
    assert rows["tr"].uj == pytest.approx(counted.uj_per_sample()[1], rel=1e-12) != alone["tr"].uj
    assert all(r.pilot is None for r in bimhw.energy(run, plan=slow, copies=1).rows())
    counters = bimhw.energy(run.activity(), run.chip(), program=run.program(), spikes=run.spikes(), plan=fast, copies=1)
    assert "counters name no task" in " ".join(counters.notes)


def test_a_pilot_of_long_samples_waits_to_be_asked(digits_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bimhw.costs.pilot.MOST_STEPS", 31)  # two samples of 16 take 32
    found = bimhw.energy(digits_run, plan=LearningPlan(block=1, lookback=0), copies=1)
    assert "takes long" in " ".join(found.notes) and {c.pilot for c in found.learning} == {None, 0}


def test_codesign_says_which_forms_a_pilot_corrected(digits_run: Path) -> None:
    found = codesign(digits_run, price=LearningPrice(block=1, lookback=0), copies=1)
    assert {r["form"]: r["pilot"] for r in found.on_chip} == {"dense": None, "seq": None, "tr": 3, "blk": 3}
    assert any("corrected by what 3 samples made" in line for line in found.notes)
    rows = {r.how: r for r in bimhw.energy(digits_run, plan=LearningPlan(block=1, lookback=0), copies=1).rows()}
    assert all(r["uj"] == pytest.approx(rows[r["form"]].uj, rel=1e-12) for r in found.on_chip)


def test_spikes_meet_the_pruned_synapses_that_learning_stores(tmp_path: Path) -> None:
    """A pruned net learns with every synapse stored: counted synaptic events are those of the full rows."""
    case = made(NETS["exp"], tmp_path, SAMPLES, pruned=0.9)
    report, _ = simulated(case, "seq")
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, LearningPlan("seq"))
    nominal = chip_energy(counted.activities[1], case.chip, case.program)
    events = report.by("item")["synaptic events"]
    assert nominal.by("item")["synaptic events"] == pytest.approx(events, rel=0.1)
    assert nominal.energy_pj() == pytest.approx(report.energy_pj(), rel=0.05)
    assert case.activity.total("synaptic_events") < 0.2 * counted.activities[1].total("synaptic_events")


def test_replayed_events_by_brute_force(case: Case) -> None:
    """SEQ replays every event that arrives in a model step, at every synapse of its three ports."""
    program, spikes = case.program, case.spikes
    chip_steps, steps = program.meta["chip_steps"], program.meta["sample_steps"]
    first, total = program.first_ids(), 0
    for p in program.populations:
        if not p.model.startswith("bim_d_"):
            continue
        sources = {q.source: q.delay for q in program.projections if q.target == p.name}
        for source, delay in sources.items():
            size = program.population(source).size
            for t in range(spikes.steps):
                ids = spikes.ids[spikes.ptr[t] : spikes.ptr[t + 1]]
                if 0 <= t % chip_steps + 1 + delay - p.layer < steps:
                    total += 3 * p.size * int(((ids >= first[source]) & (ids < first[source] + size)).sum())
    counted = count_learning(program, spikes, case.activity, case.chip, LearningPlan("seq"))
    assert counted.activities[1].total("learn_events") == total


def test_learning_pays_for_its_time(case: Case) -> None:
    """Without the learning phases the static energy would be that of inference."""
    plan = LearningPlan("dense")
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, plan)
    assert counted.timed and counted.activities[1].sim_time_ns > 1.5 * case.activity.sim_time_ns  # type: ignore[operator]
    still = replace(case.activity, sim_time_ns=None)
    assert not count_learning(case.program, case.spikes, still, case.chip, plan).timed


def test_rows_of_energy_charge_every_form(case: Case) -> None:
    costs = bimhw.energy(case.activity, case.chip, program=case.program, spikes=case.spikes)
    rows = [r for r in costs.rows() if r.work == "learning" and not r.separate]
    assert {r.how for r in rows} == set(CHIP_FORMS) and [r.uj for r in rows] == sorted(r.uj for r in rows)
    inference = costs.rows()[0]
    for r in rows:
        assert r.us and inference.us and r.us > inference.us
        assert r.uj - inference.uj > 0.9 * (r.us - inference.us) * 0.213  # 213 mW for the longer time
    best = costs.best_learning
    assert best is not None and best.plan.form == "seq"


@pytest.mark.parametrize("form", ["seq", "dense"])
@pytest.mark.parametrize("case", ["exp"], indirect=True)
def test_times_of_learning_have_the_range_of_its_words(case: Case, form: Any) -> None:
    """Learnt again on the chip with all its times at either end; the ratio of inference alone is off by 8 to 26 %."""
    plan, ends = LearningPlan(form), {}
    for name, chip in (("low", at_end(case.chip, False)), ("nominal", case.chip), ("high", at_end(case.chip, True))):
        _, learnt = learnt_run(replace(case, chip=chip), plan)
        steps = np.concatenate([t.step_ticks for t in learnt.timings]) * learnt.timings[0].tick_ns
        ends[name] = steps, learnt
    low, nominal, high = (float(steps.sum()) for steps, _ in ends.values())
    steps, learnt = ends["nominal"]
    found = time_ratios(learnt.program, case.chip, learnt.spikes, "barrier", SAMPLES, steps)
    assert found == pytest.approx(
        (low / nominal, high / nominal), rel=0.05
    )  # the last core to learn is not the busiest
    costs = bimhw.energy(case.activity, case.chip, program=case.program, spikes=case.spikes, copies=1)
    row = next(r for r in costs.rows() if r.how == form)
    assert (row.low_us, row.high_us) == pytest.approx((low / SAMPLES / 1e3, high / SAMPLES / 1e3), rel=0.03)


def test_copies_share_a_barrier_and_one_chips_static_power(case: Case) -> None:
    program, chip = case.program, case.chip
    used = np.unique(program.core[program.core != HOST]).size
    most = most_copies(program, chip)
    assert most == 1 + (128 - used) // used
    many, counted = throughput(program, chip, case.spikes, case.activity, most)
    assert np.unique(many.core[many.core != HOST]).size == used * most
    assert counted.samples >= most and counted.samples % most == 0
    one, all_ = (chip_energy(a, chip, p) for a, p in ((case.activity, program), (counted, many)))
    assert all_.energy_pj("static") / counted.samples < 0.5 * one.energy_pj("static") / SAMPLES
    per = counted.total("synaptic_events") / counted.samples
    assert per == pytest.approx(case.activity.total("synaptic_events") / SAMPLES, rel=0.02)
    with pytest.raises(FitError, match=f"at most {most} of this program"):
        replicate(program, chip, most + 1)


def test_copies_compute_what_one_computes(case: Case) -> None:
    """Two copies run at once on two samples give the spikes of the samples one after the other."""
    from simulator.function import run
    from simulator.program.spikes import SpikeTrain

    program, steps = case.program, case.program.meta["chip_steps"]
    both = replicate(program, case.chip, 2)
    merged = together(case.spikes, steps, SAMPLES, program.n_neurons, 2, 1)
    first = {
        p.name: n for p, n in zip(both.populations, np.cumsum([0, *(p.size for p in both.populations)]), strict=False)
    }
    inputs = np.zeros(both.n_neurons, bool)
    for p in both.populations:
        inputs[first[p.name] : first[p.name] + p.size] = p.role == "input"
    keep = inputs[merged.ids]
    step = np.repeat(np.arange(merged.steps), np.diff(merged.ptr))[keep]
    ptr = np.zeros(steps + 1, np.int64)
    np.cumsum(np.bincount(step, minlength=steps), out=ptr[1:])
    payload = None if merged.payload is None else merged.payload[keep]
    got = run(both, SpikeTrain(ptr, merged.ids[keep], payload), steps).spikes
    for t in range(steps):
        a, b = got.ids[got.ptr[t] : got.ptr[t + 1]], merged.ids[merged.ptr[t] : merged.ptr[t + 1]]
        assert sorted(a.tolist()) == sorted(b.tolist())


def test_one_learner_side_by_side_is_one_learner(case: Case) -> None:
    """A single learner of the throughput mode costs what the counted learner costs, at each of the shares."""
    counted = count_learning(case.program, case.spikes, case.activity, case.chip, LearningPlan("seq"))
    many, activities = learning_throughput(counted, case.chip, 1)
    for alone, beside in zip(counted.activities, activities, strict=True):
        assert beside.samples == alone.samples and beside.steps == alone.steps
        assert beside.sim_time_ns == pytest.approx(alone.sim_time_ns, rel=5e-3)  # there extra steps take the mean time
        for name in set(alone.counts) - {
            "packets_in_tile",
            "hops_ew",
            "hops_ns",
            "hops_chip",
        }:  # of synapses to be, too
            assert beside.total(name) == pytest.approx(alone.total(name), rel=1e-3, abs=2), name
    assert many.n_neurons == case.program.n_neurons


def test_separate_learners_touch_words_at_their_own_cores(case: Case) -> None:
    """The time of many learners is the timing engine's, with each core's words by brute force; all else is shared."""
    chip, copies = case.chip, 3
    counted = count_learning(case.program, case.spikes, case.activity, chip, LearningPlan("dense"))
    many, activities = learning_throughput(counted, chip, copies)
    steps = counted.spikes.steps // counted.samples
    rounds = activities[1].samples // copies
    words = np.zeros((rounds * steps, chip.topology.mesh_cores), np.int64)
    place = {}  # (learner, core of the first) -> core
    for i in range(many.n_neurons):
        if many.core[i] != HOST:
            n = counted.stored.n_neurons
            place[i // n, int(many.core[i % n])] = int(many.core[i])
    for (learner, core), there in place.items():
        for r in range(rounds):
            sample = (r * copies + learner) % counted.samples
            words[r * steps : (r + 1) * steps, there] += counted.touched[1][sample * steps : (sample + 1) * steps, core]
    merged = together(counted.spikes, steps, counted.samples, counted.stored.n_neurons, copies, rounds)
    expected = run_timing(many, chip, merged, learn_synapses=words).sim_time_ns
    assert activities[1].sim_time_ns == expected
    alone, beside = (
        chip_energy(a, chip, p) for a, p in ((counted.activities[1], counted.stored), (activities[1], many))
    )
    each = [r.energy_pj("static") / r.samples for r in (alone, beside)]
    assert each[1] < 0.5 * each[0]  # one chip's static power, three samples
    dynamic = [r.by("hardware")["learning"] / r.samples for r in (alone, beside)]
    assert dynamic[1] == pytest.approx(dynamic[0], rel=0.01)


def test_learners_are_a_row_of_their_own(case: Case) -> None:
    costs = bimhw.energy(case.activity, case.chip, "h100", program=case.program, spikes=case.spikes)
    rows = [r for r in costs.rows() if r.separate]
    assert len(rows) == 1 and rows[0].how == "seq" and rows[0].batch == costs.copies > 1
    assert "separate learners" in rows[0].what and not any("separate learners" in line for line in costs.verdict())
    assert rows[0].low_uj <= rows[0].uj <= rows[0].high_uj  # type: ignore[operator]
    found = modes(costs.rows())
    assert {(m.mode, m.chip == rows[0].what) for m in found} == {
        ("latency", False), ("throughput", False), ("throughput", True),
    }  # fmt: skip
    for m in found:
        assert m.chip_over_card == m.chip_uj / m.card_uj and m.chip_word and m.card_word


def test_every_row_can_be_recomputed_from_its_words(case: Case) -> None:
    """The numbers in the explanation of a row give the row's own number."""
    costs = bimhw.energy(case.activity, case.chip, "h100", program=case.program, spikes=case.spikes)
    rows = {(r.how, r.batch): r for r in costs.rows() if r.side == "chip"}
    for name, report in chip_rows(costs).items():
        text = explain_chip(name, report)
        pj = sum(float(n.replace(",", "")) for n in re.findall(r" = ([\d,.]+) pJ", text))
        key = {"run": ("simulated", 1), "copies": ("simulated", costs.copies), "learners": ("seq", costs.copies)}
        row = rows[key.get(name, (name, 1))]
        assert pj / 1e6 / report.samples == pytest.approx(row.uj, rel=1e-4), name
        assert all(item in text for item in report.unknown)
    card, steps = load_gpu("h100"), round(costs.steps_per_sample)
    for cost in costs.gpu:
        lines = explain_card(cost, card, steps).splitlines()
        terms = [float(a) * float(b) for a, b in re.findall(r"([\d.e+-]+) s x ([\d.]+) W", lines[-2])]
        terms += [
            float(a) * (float(b) - float(c))
            for a, b, c in re.findall(r"([\d.e+-]+) s x \((\d+) - (\d+)\) W", lines[-2])
        ]
        assert sum(terms) * 1e6 / cost.batch == pytest.approx(cost.uj, rel=1e-3), lines


def test_only_nets_that_learn_are_counted(tmp_path: Path) -> None:
    from simulator.program.graph import Population

    assert not forms_of(
        Program("loihi2", "", (Population("in", "input", 2, role="input"),), (), np.full(2, HOST, np.int32))
    )


def test_a_latency_has_the_range_of_its_energy_row(digits_run: Path) -> None:
    """`bimhw simulate` prints what `bimhw energy` holds: the same events timed at both ends of the chip file's times."""
    times, latency = time_range(digits_run), RunFolder.open(digits_run).result["mean_latency_us"]
    row = next(r for r in bimhw.energy(digits_run, copies=1).rows() if r.work == "inference")
    assert times["latency_low_us"] == pytest.approx(latency * row.low_us / row.us, rel=1e-9)
    assert times["latency_high_us"] == pytest.approx(latency * row.high_us / row.us, rel=1e-9)
    assert times["time_word"] == row.time_word
    assert time_note(times).endswith(f"), {row.time_word}") and time_note({}) == ""
