"""On-chip learning in the chip's words: its forward pass is the simulator's, its result does not depend on the mapping."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from bimhw.cli.commands.learn import command
from bimhw.compiler.decode import encode, output_probe, scores_by_step
from bimhw.compiler.pipeline import compile
from bimhw.compiler.readback import model_of, read_back
from bimhw.costs.compare import energy
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs.folder import RunFolder
from bimhw.runs.learn import learn as learn_task
from bimhw.runs.learn import ready_to_learn, step_labels
from bimhw.tasks.base import Split, Task, late_steps
from bimhw.views.build import render
from energy_models.learning import LEARNING
from mapping.learning_limits import check_learning
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.plasticity import LearnConfig, Learner, calibrate, learn, learn_config, prepare, program_of
from simulator.plasticity.budget import learning_memory
from simulator.plasticity.checkpoint import load_learning, save_learning
from simulator.plasticity.forms.record import R_S, R_X
from simulator.plasticity.timing import time_learning
from simulator.plasticity.words.words import H_DELTA
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from tests.thinned import first

T = 10


@pytest.fixture(scope="module")
def task() -> Task:
    """Two classes of graded sequences that differ in which half of the channels is loud."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    x = rng.integers(0, 9, (60, T, 4)) * (rng.random((60, T, 4)) < 0.7)
    loud = np.repeat(np.eye(2, dtype=int), 2, axis=1)[y]  # [n, 4]
    x = x + 8 * loud[:, None, :]
    return Task("halves", 2, 1 / 16, Split(x[:40], y[:40]), Split(x[40:], y[40:]), late_steps(T, 5), late_steps(T, 3))


def net(psp="alpha", hidden=(6,), seed=0, **fields):
    return BimNet(BimConfig(n_in=4, hidden=hidden, n_out=2, psp=psp, input_scale=1 / 16, **fields), seed)


def compiled(task, model=None, **options) -> Program:
    return compile(model or net(), "loihi2", calibration=task.train.x, **options).program


def test_learning_steps_are_the_simulators(task):
    """Without learning, the learner's spikes are those of `simulator.run`, and its records decode the same words."""
    for psp, hidden in (("delta", (6,)), ("exp", (6,)), ("alpha", (5, 4))):
        program = ready_to_learn(compiled(task, net(psp, hidden, dense_readout=True)), task, {})
        learner, seen = Learner(program, learn_config(program.learning)), []
        inner = learner._observe

        def observe(c, learner=learner, inner=inner, seen=seen, formats=program.meta["formats"]):
            inner(c)
            for k, layer in enumerate(learner.layers):
                if 0 <= c - layer.layer.number < T:
                    sent = learner.forward.sent(layer.layer.population.name)
                    assert np.array_equal(sent, layer.record[R_S])
                    words = learner.forward.simulation.state.words[learner.forward.index[layer.layer.population.name]]
                    unit = 2.0 ** -formats[layer.layer.population.name]["x"]
                    assert np.array_equal(words[0] * unit, layer.record[R_X])
                    seen.append((k, sent.sum()))

        learner._observe = observe
        x = task.train.x[0]
        learner.sample(x, np.full(T, -1))  # no label: nothing to learn from
        steps = learner.chip_steps(T)
        want = run(program, SpikeTrain.from_dense(x), steps).spikes
        record = learner.forward.simulation.record
        assert np.array_equal(np.concatenate(record.ids), want.ids)
        assert sum(n for _, n in seen) > 0


def test_what_is_learnt_does_not_depend_on_the_mapping_or_on_a_break(task, tmp_path):
    results = []
    for per_core in (None, 2):
        program = ready_to_learn(
            compiled(task, neurons_per_core=per_core, mapping="blocks"), task, {"lr": 0.01, "accumulate": 3}
        )
        results.append(learn(program, task.train.x, step_labels(task, task.train), seed=3, epochs=2))
    one, other = results
    assert len(set(one.program.core)) < len(set(other.program.core))
    for a, b in zip(one.program.projections, other.program.projections, strict=True):
        assert np.array_equal(a.weights, b.weights), a.name
    assert one.operations == other.operations
    broken = Learner(program, learn_config(program.learning), 3)
    x, labels = task.train.x, step_labels(task, task.train)
    learn(program, x, labels, seed=3, learner=broken, of_epochs=2)
    save_learning(broken, tmp_path / "half.safetensors")
    resumed = Learner(program, learn_config(program.learning), 3)
    load_learning(resumed, tmp_path / "half.safetensors")
    last = learn(program, x, labels, seed=3, learner=resumed, epoch=1, of_epochs=2)
    assert last.program.sha256() == other.program.sha256()
    assert last.operations == other.operations
    assert last.activity().total("spikes") == other.activity().total("spikes")
    with pytest.raises(InputError, match="another seed"):
        load_learning(Learner(program, learn_config(program.learning), 4), tmp_path / "half.safetensors")


BLOCKS = {"tr": {"block": 5, "history": 5}, "blk": {"block": 5}}


@pytest.mark.parametrize("form", first(2, ["dense", "seq", "tr", "blk"]))
def test_forms_learn_the_task_and_count_their_work(task, form):
    program = compiled(task, net(hidden=(12,)))
    result = learn_task(program, task, epochs=3, form=form, lr=0.008, seed=1, **BLOCKS.get(form, {}))
    assert result.accuracy[-1] >= 0.9
    ops, n = result.result.operations, 3 * len(task.train)
    synapses = 4 * 12
    assert ops["learn_history_write"] == 7 * 12 * T * n
    assert ops["learn_error_words"] == 2 * 5 * n
    if form == "dense":
        assert ops["learn_trace_rmw"] == 14 * synapses * T * n
        assert ops["learn_trace_mac"] == 31 * synapses * T * n
    if form in ("seq", "tr"):
        assert "learn_trace_rmw" not in ops
    if form == "seq":
        events = sum(int((x != 0).sum()) for x in task.train.x)
        assert ops["learn_events"] == 3 * 12 * events * 3
        assert ops["learn_sweep_mac"] == 17 * 12 * T * n
    if form == "blk":
        assert ops["learn_trace_rmw"] == 14 * synapses * 2 * n
        beyond = {k: v for k, v in result.result.saturations.items() if k.startswith(("layer1.s_", "layer1.y_"))}
        assert sum(beyond.values()) < 1e-4 * 12 * T * n, beyond  # propagators have room for a readout that grows
    assert set(ops) <= set(LEARNING)
    activity = result.result.activity()
    for name, total in ops.items():
        count = activity.counts[name]
        assert count.by_core.sum() == count.by_step.sum() == count.by_population.sum() == total, name


@pytest.mark.parametrize(("rule", "options"), [("hybrid", {"lam": 0.7}), ("stdp", {}), ("frozen", {})])
def test_other_rules_change_what_they_should(task, rule, options):
    program = ready_to_learn(compiled(task), task, {"rule": rule, "lr": 0.01, **options})
    after = learn(program, task.train.x, step_labels(task, task.train)).program
    changed = {
        q.name: not np.array_equal(q.weights, p.weights)
        for p, q in zip(program.projections, after.projections, strict=True)
    }
    assert changed["readout.layer1"]
    assert changed["layer1.z"] == (rule != "frozen")
    assert changed["layer1.d"] == changed["layer1.c"] == (rule == "hybrid")


@pytest.mark.parametrize(("bits", "least"), [(8, 0.98), (12, 0.9995), (16, 0.99999)])
def test_gradient_of_narrow_traces_points_the_same_way(task, bits, least):
    sums = {}
    program = compiled(task, net(hidden=(8,)))
    for width in (bits, 24):
        config = LearnConfig(
            trace_bits=width, history_bits=24 if width == 24 else 16, optimiser="sgd", state_bits=20, lr=0.01
        )
        ready = prepare(program, config, {"readout.layer1": np.random.default_rng(1).normal(0, 2, (8, 2))})
        ready = calibrate(ready, task.train.x[:20], step_labels(task, task.train)[:20], config)
        learner, total = Learner(ready, learn_config(ready.learning)), np.zeros((4, 5, 8))
        layer = learner.layers[0]

        def keep(lr, layer=layer, total=total):
            total += layer.g
            layer.g[:] = 0
            layer.labelled = 0

        layer.update, learner.readout.update = keep, lambda lr: None
        for x, y in zip(task.train.x[:10], step_labels(task, task.train), strict=False):
            learner.sample(x, y)
        sums[width] = total.ravel()
    a, b = sums[bits], sums[24]
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > least


def test_weights_come_back_as_a_model(task, tmp_path):
    program = ready_to_learn(
        compiled(task), task, {"prune_target": 0.5, "prune_mode": "gated", "prune_every": 4, "lr": 0.01}
    )
    done = learn(program, task.train.x, step_labels(task, task.train), epochs=3)
    after = done.program
    spikes = np.bincount(np.concatenate(done.learner.forward.simulation.record.ids), minlength=program.n_neurons)
    visited = spikes[:4].sum() * 3 * 6 + spikes[4:10].sum() * 2  # pruned synapses keep their place until the end
    assert done.activity().total("synaptic_events") == visited
    after.save(tmp_path / "x.bimhw")
    loaded = Program.load(tmp_path / "x.bimhw")
    assert loaded.sha256() == after.sha256()
    config, arrays = read_back(loaded)
    assert config.hidden == (6,)
    z = next(q for q in after.projections if q.name == "layer1.z")
    mask = arrays["layers.0.mask_in"]
    assert z.n_synapses == mask.sum() and z.layout == "sparse"
    assert abs(1 - mask.mean() - 0.5) < 0.1  # pruned to the target
    unit = 4.0 / 128
    matrix = np.zeros(mask.shape)
    matrix[z.indices, np.repeat(np.arange(4), np.diff(z.indptr))] = z.weights * unit
    assert np.array_equal(arrays["layers.0.w_in"], matrix.astype(np.float32))
    model = model_of(loaded)
    assert model.layer(0).weight("in").shape == (6, 4)
    again = prepare(compiled(task, model), learn_config(program.learning), masks={"layer1.z": mask.T})
    assert np.array_equal(next(q for q in again.projections if q.name == "layer1.z").indices, z.indices)


def test_a_program_that_has_learnt_runs_and_learns_on(task):
    """Scores of an ordinary run of the result are those of the learner; a second call goes on from the weights."""
    first = learn_task(compiled(task, net(hidden=(12,))), task, epochs=2, lr=0.01, seed=1)
    program, right = first.program, 0
    for x, y in zip(task.test.x, task.test.y, strict=True):
        drive = encode(program, x)
        found = run(program, drive, program.meta["chip_steps"], probes=[output_probe(program)])
        silent = np.full(T, -1)
        scores = Learner(program, learn_config(program.learning)).sample(x, silent, learn=False).scores
        assert np.allclose(scores_by_step(program, found.probes), scores, rtol=0, atol=1e-12)
        right += int(scores[task.decision_steps].mean(axis=0).argmax() == y)
    assert right / len(task.test) == first.accuracy[-1]
    again = learn_task(program, task, epochs=1, seed=2)
    assert again.program.learning == program.learning
    moved = [
        np.abs(a.weights.astype(int) - b.weights).max()
        for a, b in zip(program.projections, again.program.projections, strict=True)
    ]
    assert max(moved) > 0


@pytest.mark.parametrize("form", ["dense", "seq"])
def test_neurons_without_an_error_cost_nothing_if_so_configured(task, form):
    """Coarse error words are 0 for samples that are known: nothing is touched then, and the same is learnt."""
    runs, n_in, hidden, want = {}, 4, 6, 0
    for skip in (True, False):
        options = {"form": form, "skip_zero": skip, "error_bits": 4, "lr": 0.05, "every": 5}
        program = ready_to_learn(compiled(task), task, options)
        learner = Learner(program, learn_config(program.learning), 1)
        layer = learner.layers[0]
        for x, y in 3 * list(zip(task.train.x, step_labels(task, task.train), strict=True)):
            learner.sample(x, y)
            deltas = layer.hist[[tau % layer.ring for tau in learner._errors], H_DELTA]  # of the labelled steps
            words = np.array(list(learner._errors.values()))
            want += skip * int(deltas.any(axis=0).sum() * (3 * n_in + 4) + words.any(axis=0).sum() * (hidden + 1))
        runs[skip] = program_of(learner), learner.counts.totals()
    (one, few), (other, all_) = runs[True], runs[False]
    for a, b in zip(one.projections, other.projections, strict=True):
        assert np.array_equal(a.weights, b.weights), a.name
    assert all_["learn_random"] == all_["learn_optimiser_mac"] == 120 * (hidden * (3 * n_in + 4) + 2 * (hidden + 1))
    assert few["learn_random"] == few["learn_optimiser_mac"] == want < all_["learn_random"] * 0.7
    assert few["learn_weight_mac"] < all_["learn_weight_mac"]
    assert few["learn_optimiser_rmw"] == all_["learn_optimiser_rmw"]


def test_learning_memory_is_checked_against_the_chip(task):
    program = ready_to_learn(compiled(task, mapping="blocks"), task, {})
    items = {(i.population, i.kind): i for i in learning_memory(program, learn_config(program.learning), T)}
    assert items["layer1", "eligibility traces"].words == 14 * 4 * 6
    assert items["layer1", "eligibility traces"].bits == 8
    chip = load_chip("loihi2")
    resources = {r.name: r for r in check_learning(program, chip)}
    assert resources["synapse_bytes"].worst > 14 * 4 * 6
    with pytest.raises(FitError, match=r"core 0: needs \d+ state_bytes .* limit"):
        check_learning(program, chip, LearnConfig(form="seq"), steps=10**6)
    with pytest.raises(FitError, match="not one of chip 'loihi1'"):
        check_learning(program, load_chip("loihi1"))


@pytest.mark.usefixtures("few_digits")
def test_command_learns_writes_and_prints(tmp_path, digits_program):
    out, model = tmp_path / "y.bimhw", tmp_path / "y.pt"
    args = [str(digits_program), "--epochs", "1", "-o", str(out), "--model", str(model), "--form", "seq", "--json"]
    args += [
        "--set",
        "error-bits=8",
        "--set",
        "skip_zero=no",
        "--set",
        "prune_every=4",
        "--prune-target",
        "0.5",
        "--prune-mode",
        "gated",
    ]
    printed = CliRunner().invoke(command, args, catch_exceptions=False)
    assert printed.exit_code == 0
    summary = json.loads(printed.stdout)
    assert summary["updates"] == 64
    assert set(summary["pruned_share"]) == {"layer1.z", "layer1.d", "layer1.c"}
    assert all(abs(share - 0.5) < 0.1 for share in summary["pruned_share"].values())
    learning = Program.load(out).learning
    assert (learning["form"], learning["error_bits"], learning["skip_zero"]) == ("seq", 8, False)
    wrong = CliRunner().invoke(command, [str(digits_program), "--set", "error_bit=8"])
    assert isinstance(wrong.exception, InputError) and "error_bit" in str(wrong.exception)
    assert model.exists()


@pytest.fixture
def digits_program(tmp_path):
    model = BimNet(BimConfig(n_in=8, hidden=(8,), n_out=10, psp="delta", input_scale=1 / 16), 0)
    path = tmp_path / "x.bimhw"
    compile(model, "loihi2", task="digits").program.save(path)
    return path


def test_a_run_folder_of_learning_is_charged_and_timed(task, tmp_path, monkeypatch):
    """Energy of each learning item is its count times its constant; times are those of all steps in one piece."""
    monkeypatch.setattr("bimhw.runs.learn_run._CHUNK_STEPS", 100)
    source = compiled(task, net(hidden=(5, 4), dense_readout=True))
    done = learn_task(source, task, epochs=1, run=tmp_path / "run", form="blk", block=4)
    folder, ops = RunFolder.open(tmp_path / "run"), done.result.operations
    assert folder.program().sha256() == done.program.sha256()
    assert (folder.result["samples"], folder.result["accuracy"]) == (40, done.accuracy[-1])
    paid = energy(folder)
    assert paid.learning == ()  # the real one is in it
    for name, count in ops.items():
        assert paid.report.item("learning: " + name.removeprefix("learn_").replace("_", " ")).count == count
    updates = paid.report.item("learning: weight updates")
    assert updates.energy_pj == pytest.approx(120 * ops["learn_weight_updates"], rel=1e-12)
    learner = done.result.learner
    whole = time_learning(learner, load_chip("loihi2"))
    assert np.array_equal(folder.timing()["step_ticks"], whole.step_ticks)
    assert np.array_equal(folder.timing()["core_busy"], whole.soma_busy_ticks + whole.synapse_busy_ticks)
    assert np.array_equal(folder.timing()["link_busy"], whole.link_busy_ticks)
    assert folder.activity().sim_time_ns == whole.sim_time_ns
    assert done.summary()["mean_step_ns"] == pytest.approx(whole.sim_time_ns / learner.steps_done)
    assert folder.spikes().steps == learner.steps_done
    assert (paid.learnt, paid.labelled_steps) == (True, round(done.result.updates / 40))
    assert paid.compare()[0]["what"] == "inference + learning (simulated)"
    page = render(folder)
    assert "learnt one by one" in page
    assert "Energy of learning compared with BPTT" in page
    assert "Energy of an inference" not in page


def test_bad_input_is_named(task):
    program = ready_to_learn(compiled(task), task, {})
    with pytest.raises(InputError, match="trace_bits"):
        ready_to_learn(compiled(task), task, {"trace_bits": 3})
    with pytest.raises(InputError, match="power of two"):
        ready_to_learn(compiled(task), task, {"weight_range": 3.0})
    with pytest.raises(InputError, match=r"labels: hold 0\.\.5"):
        Learner(program, learn_config(program.learning)).sample(task.train.x[0], np.arange(T) % 6)
    with pytest.raises(InputError, match=r"Needs \[steps, 4\]"):
        Learner(program, learn_config(program.learning)).sample(task.train.x[0][:, :2], np.full(T, -1))
    with pytest.raises(InputError, match="credit 'direct': brings no error to 'layer1'"):
        ready_to_learn(compiled(task, net(hidden=(4, 3))), task, {"credit": "direct"})
    with pytest.raises(InputError, match=r"words: are wide .*integers"):
        ready_to_learn(compiled(task), task, {"words": "wide"})
    with pytest.raises(InputError, match="no binary points"):
        learn(
            replace(program, learning=dict(program.learning) | {"fracs": {}}),
            task.train.x,
            step_labels(task, task.train),
        )
    with pytest.raises(FitError, match="adaptive threshold"):
        ready_to_learn(compiled(task, net(adapt_beta=0.3)), task, {})
    decays = net()
    decays.layer(0).get_parameter("a_log").data += 0.5
    with pytest.raises(FitError, match="a other than 1"):
        ready_to_learn(compiled(task, decays), task, {})
