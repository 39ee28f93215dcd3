"""On-chip learning of s6 layers by SEQ and TR: wide words against autograd, chip words against exact fractions."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.cli.commands.learn import command
from bimhw.compiler.pipeline import compile
from bimhw.compiler.readback import model_of, read_back
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import load_model
from bimhw.runs.learn import learn as learn_task
from bimhw.runs.learn import ready_to_learn, step_labels
from bimhw.tasks.base import Split, Task, late_steps
from energy_models.learning import LEARNING
from mapping.learning_limits import check_learning
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.plasticity import LearnConfig, Learner, calibrate, learn, learn_config, prepare
from simulator.plasticity.budget import learning_memory
from simulator.plasticity.checkpoint import load_learning, save_learning
from simulator.plasticity.decode import R_STATES
from simulator.plasticity.forms import s6 as s6_module
from simulator.plasticity.forms import sweep as sweep_module
from simulator.plasticity.forms.base import ALPHA, DELTA, EXP
from simulator.plasticity.forms.record import R_S
from simulator.plasticity.forms.s6 import H_DT, H_SIG, H_STATES, s6_sweep
from simulator.plasticity.operations import KERNEL_OPERATIONS, s6_sweep_macs
from simulator.plasticity.words import words
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from tests.bimhw.runs.onchip_nets import C, M, T, autograd, disturb, float_program, sample


def random_net(seed: int, **fields) -> BimNet:
    return disturb(BimNet(BimConfig(kind="s6", n_in=M, n_out=C, learn_a_log=True, **fields), seed), seed)


def sums_of(learner: Learner):
    """Gradient sums of a learner by parameter name, collected in the place of its updates."""
    sums: dict[str, np.ndarray] = {}

    def keep(name, value):
        sums[name] = sums.get(name, 0) + value

    def of_layer(k, layer):
        def update(lr):
            for p, port in enumerate(("in", "delta")):
                keep(f"layers.{k}.w_{port}", layer.g[p, :-1].T.copy())
                keep(f"layers.{k}.b_{port}", layer.g[p, -1].copy())
            keep(f"layers.{k}.d", layer.g[3, 0].copy())
            keep(f"layers.{k}.a_log", layer.g_rates.T.copy())
            layer.g[:], layer.g_rates[:], layer.labelled = 0, 0, 0

        return update

    def of_shared(k, shared):
        def update(lr):
            n = shared.of.states
            for port, rows in (("b", slice(n)), ("c", slice(n, None))):
                keep(f"layers.{k}.w_{port}", shared.g[0, :-1, rows].T.copy())
                keep(f"layers.{k}.b_{port}", shared.g[0, -1, rows].copy())
            shared.g[:] = 0

        return update

    def of_readout(lr):
        keep("readout.weight", learner.readout.g.T.copy())
        keep("readout.bias", learner.readout.g_bias[0].copy())
        learner.readout.g[:] = learner.readout.g_bias[:] = 0

    for k, (layer, shared) in enumerate(zip(learner.layers, learner.shared, strict=True)):
        layer.update, shared.update = of_layer(k, layer), of_shared(k, shared)
    learner.readout.update = of_readout
    return sums


kinds = st.fixed_dictionaries(
    {
        "psp": st.sampled_from(["delta", "exp", "alpha"]),
        "n_states": st.sampled_from([1, 2, 4]),
        "discretisation": st.sampled_from(["euler", "zoh"]),
        "reset": st.sampled_from(["soft", "hard"]),
        "detach_reset": st.booleans(),
        "refractory": st.sampled_from([0, 2]),
        "surrogate": st.sampled_from(["fast_sigmoid", "triangle"]),
        "readout": st.sampled_from(["spike", "spike", "membrane"]),
        "input_delays": st.sampled_from([(0,), (0, 2)]),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), kinds, st.sampled_from(["seq", "tr"]), st.integers(1, T))
def test_gradient_of_one_layer_is_autograds(seed, kind, form, block):
    net = random_net(seed, hidden=(5,), k_o=0.8, **kind)
    x, labels = sample(seed)
    want, logits = autograd(net, x, labels)
    config = LearnConfig(
        words="wide", form=form, block=block, history=T, surrogate=kind["surrogate"],
        detach_reset=kind["detach_reset"], learn_a_log=True,
    )  # fmt: skip
    learner = Learner(float_program(net), config)
    got = sums_of(learner)
    result = learner.sample(x, labels)
    assert np.abs(result.scores - logits).max() < 1e-10
    assert set(got) == set(want)
    for name, g in want.items():
        assert np.abs(got[name] - g).max() <= 1e-9 * max(np.abs(g).max(), 1e-3), name
    assert max(np.abs(g).max() for g in want.values()) > 1e-3


@pytest.mark.parametrize(("credit", "dense_readout"), [("filt-win", True), ("filt-win", False), ("direct", True)])
def test_two_layers_follow_the_credit_rule(credit, dense_readout):
    """The torch learner's sweep with the same rule (another implementation)."""
    net = random_net(3, hidden=(5, 4), n_states=3, dense_readout=dense_readout)
    x, labels = sample(3)
    learner = Learner(float_program(net), LearnConfig(words="wide", form="seq", credit=credit, learn_a_log=True))
    got = sums_of(learner)
    scores = learner.sample(x, labels).scores
    oracle = SweepLearner(net, 1, credit)
    for t in range(T):
        target = torch.tensor([labels[t]]) if labels[t] >= 0 else None
        step = oracle.observe(torch.from_numpy(x[t])[None], target)
        assert np.abs(step.logits[0].numpy() - scores[t]).max() < 1e-10
    want = oracle.finish()
    assert want is not None
    for name, value in got.items():
        g = want[name].numpy()
        assert np.abs(value - g).max() <= 1e-9 * max(np.abs(g).max(), 1e-3), name
    assert np.abs(got["layers.0.w_b"]).max() > 1e-6


@pytest.mark.parametrize("optimiser", ["sgd", "rms"])
def test_update_of_wide_words_is_that_of_autograds_gradient(optimiser):
    """Three samples, an update after each; one second-moment word a row, hard bounds, A_log within [-3, 3]."""
    net = random_net(5, hidden=(6,), n_states=2, k_o=0.7)
    lr = 0.05 if optimiser == "sgd" else 0.01
    learner = Learner(
        float_program(net), LearnConfig(words="wide", form="seq", optimiser=optimiser, lr=lr, learn_a_log=True)
    )
    start = {n: p.detach().clone() for n, p in net.named_parameters()}
    v = {n: torch.zeros(p.shape[0] if ".w_" in n or n == "readout.weight" else p.shape) for n, p in start.items()}
    for seed in range(3):
        x, labels = sample(seed)
        grads, logits = autograd(net, x, labels)
        assert np.abs(learner.sample(x, labels).scores - logits).max() < 1e-9
        for name, p in net.named_parameters():
            g, scale = torch.from_numpy(grads[name]), 1.0
            row = ".w_" in name or name == "readout.weight"
            if optimiser == "rms":
                square = (g * g).mean(1) if row else g * g
                v[name] = v[name] + 0.01 * (square - v[name])
                scale = 1 / (torch.sqrt(v[name] / (1 - 0.99 ** (seed + 1))) + 1e-8)
                scale = scale[:, None] if row else scale
            bound = 8.0 if name == "readout.weight" else 4.0 if row else 3.0 if "a_log" in name else math.inf
            p.data = (p.data - lr * scale * g).clamp(-bound, bound)
    index = {q.name: k for k, q in enumerate(learner.program.projections)}
    names = {"layer1.z": "w_in", "layer1.d": "w_delta"}
    for ours, theirs in names.items():
        check(learner.forward.weights[index[ours]].T, net, start, f"layers.0.{theirs}")
    both = learner.forward.weights[index["layer1.bc.in"]].T
    check(both[:2], net, start, "layers.0.w_b")
    check(both[2:], net, start, "layers.0.w_c")
    check(learner.forward.log_rates(0).T, net, start, "layers.0.a_log")
    check(learner.forward.params["layer1"]["b_d"], net, start, "layers.0.b_delta")
    check(learner.forward.params["layer1.bc"]["b"][2:], net, start, "layers.0.b_c")


def check(value, net, start, name):
    want = dict(net.named_parameters())[name].detach()
    assert np.abs(value - want.numpy()).max() < 1e-9, name
    assert (want - start[name]).abs().max() > 1e-3, name  # it moved


# In the chip's words


@pytest.fixture(scope="module")
def task() -> Task:
    """Two classes of graded sequences that differ in which half of the channels is loud."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    x = rng.integers(0, 9, (60, T, M)) * (rng.random((60, T, M)) < 0.7)
    x = x + 8 * np.repeat(np.eye(2, dtype=int), 2, axis=1)[y][:, None, :]
    return Task("halves", 2, 1 / 16, Split(x[:40], y[:40]), Split(x[40:], y[40:]), late_steps(T, 5), late_steps(T, 3))


def net_of(psp="alpha", hidden=(6,), seed=0, n_states=2, **fields) -> BimNet:
    config = BimConfig(
        kind="s6", n_in=M, hidden=hidden, n_out=2, psp=psp, n_states=n_states, input_scale=1 / 16, **fields
    )
    return BimNet(config, seed)


def compiled(task: Task, model: BimNet | None = None, **options) -> Program:
    return compile(model or net_of(), "loihi2", calibration=task.train.x, **options).program


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
def test_records_hold_the_simulators_words(task, psp):
    """Spikes of a learner that only looks are those of `simulator.run`; its records decode the states that were reached."""
    hidden = (5, 4) if psp == "alpha" else (6,)
    program = ready_to_learn(compiled(task, net_of(psp, hidden, dense_readout=True)), task, {})
    learner, seen = Learner(program, learn_config(program.learning)), 0
    inner = learner._observe

    def observe(c):
        nonlocal seen
        inner(c)
        for layer in learner.layers:
            name = layer.layer.population.name
            if 0 <= c - layer.layer.number < T:
                assert np.array_equal(learner.forward.sent(name), layer.record[R_S])
                reached = learner.forward.simulation.state.words[learner.forward.index[name]]
                unit, n = 2.0 ** -program.meta["formats"][name]["x0"], layer.states
                assert np.array_equal(reached[:n] * unit, layer.record[R_STATES + n : R_STATES + 2 * n])
                seen += int(layer.record[R_S].sum())

    learner._observe = observe
    x = task.train.x[0]
    learner.sample(x, np.full(T, -1))
    want = run(program, SpikeTrain.from_dense(x), learner.chip_steps(T)).spikes
    assert np.array_equal(np.concatenate(learner.forward.simulation.record.ids), want.ids)
    assert seen > 0


@pytest.mark.parametrize("zoh", [False, True])
def test_sweep_of_chip_words_equals_exact_fractions(zoh):
    """Word for word, saturations included."""
    rng, n, h, steps = np.random.default_rng(4 + zoh), 2, 3, 9
    names = (
        "l_sb", "l_v", "l_q", "l_xn", "p_in", "p_d", "p_D", "p_b", "p_cn", "m_gain", "m_decayed", "m_drive", "m_slope",
        "m_rate", "g_D", "g_a",
    )  # fmt: skip
    fracs = {name: {"l": 6, "p": 5, "m": 6, "g": 12}[name[0]] for name in names}
    bits = {name: 32 if name.startswith("g_") else 8 for name in names}
    table = words.narrow(fracs, bits)
    hist = np.round(rng.normal(0, 1, (steps, 8 + 2 * n, h)) * 64) / 64
    for row in (words.H_PSI, H_SIG, *range(H_STATES, H_STATES + n)):
        hist[:, row] = rng.integers(0, 64, (steps, h)) / 64
    hist[:, H_DT], hist[:, words.H_F] = rng.integers(1, 100, (steps, h)) / 64, rng.integers(0, 2, (steps, h))
    bc = np.round(rng.normal(0, 1, (steps, 2 * n)) * 64) / 64
    const = np.round(rng.uniform(0.2, 1.5, (8, h)) * 64) / 64
    const[6] = 0.75
    rates = np.round(np.exp(np.stack([(a := rng.normal(0, 1, (n, h))), -a])) * 2**15) / 2**15
    order, before = np.arange(steps - 1, 0, -1), 0  # the oldest step has one before it
    p, p_shared = np.zeros((order.size, 2, h)), np.zeros((order.size, 2 * n))
    g_skip, g_rates = np.zeros(h), np.zeros((n, h))
    s6_sweep(hist, bc, order, before, 6, const, rates, DELTA, False, zoh, p, p_shared, g_skip, g_rates, table)
    want = by_fractions(hist, bc, order, const, rates, zoh, fracs, bits, n, h)
    for got, exact in zip((p, p_shared, g_skip, g_rates), want, strict=True):
        assert np.array_equal(got, np.array(exact, float))
        assert np.count_nonzero(got) >= got.size // 3
    assert table[words.SATURATED].sum() > 0


def by_fractions(hist, bc, order, const, rates, zoh, fracs, bits, n, h):
    def put(x, name):
        lsb = Fraction(1, 2 ** fracs[name])
        limit = (2 ** (bits[name] - 1) - 1) * lsb
        return min(max(math.floor(x / lsb + Fraction(1, 2)) * lsb, -limit), limit)

    exact = np.vectorize(Fraction, otypes=[object])
    hist, bc, const, rates = exact(hist), exact(bc), exact(const), exact(rates)
    p, shared = [[[0] * h for _ in range(2)] for _ in order], [[Fraction(0)] * (2 * n) for _ in order]
    g_skip, g_rates = [Fraction(0)] * h, [[Fraction(0)] * h for _ in range(n)]
    for i in range(h):
        kap, lc, k, skip = const[0, i], const[5, i], const[6, i], const[7, i]
        sb, v_next, lx = Fraction(0), Fraction(0), [Fraction(0)] * n
        for s, slot in enumerate(order):
            w = hist[slot, :, i]
            if s < 6:
                sb = put(sb + w[words.H_DELTA], "l_sb")
            v = w[words.H_F] * v_next + (1 - k) * w[words.H_PSI] * sb
            q, v_next, sb = put(lc * v, "l_q"), put(kap * v, "l_v"), put(k * sb, "l_sb")
            z, dt = w[words.H_Z], w[H_DT]
            g_skip[i] = put(g_skip[i] + put(q * z, "p_D"), "g_D")
            to_z, to_d = skip * q, Fraction(0)
            for m in range(n):
                abar, x, b, c = w[H_STATES + m], w[H_STATES + n + m], bc[slot, m], bc[slot, n + m]
                x_old = hist[order[s + 1] if s + 1 < len(order) else 0, H_STATES + n + m, i]
                gain = put((1 - abar) * rates[1, m, i], "m_gain") if zoh else dt
                decayed, drive = put(-rates[0, m, i] * abar * x_old, "m_decayed"), put(b * z, "m_drive")
                kick = put(lx[m] + c * q, "l_xn")
                shared[s][m] += put(kick * gain * z, "p_b")
                shared[s][n + m] += put(q * x, "p_cn")
                to_z += kick * gain * b
                to_d += kick * put(decayed + drive * (abar if zoh else 1), "m_slope")
                own = put(dt * decayed + (dt * abar - gain) * drive if zoh else dt * decayed, "m_rate")
                g_rates[m][i] = put(g_rates[m][i] + kick * own, "g_a")
                lx[m] = put(abar * kick, "l_xn")
            p[s][0][i], p[s][1][i] = put(to_z, "p_in"), put(w[H_SIG] * to_d, "p_d")
    return p, shared, g_skip, g_rates


class Counted(float):
    """A number that counts the multiplications it takes part in."""

    done = 0

    def __mul__(self, other):
        Counted.done += 1
        return Counted(float(self) * float(other))

    def __add__(self, other):
        return Counted(float(self) + float(other))

    def __sub__(self, other):
        return Counted(float(self) - float(other))

    def __rsub__(self, other):
        return Counted(float(other) - float(self))

    def __neg__(self):
        return Counted(-float(self))

    __rmul__, __radd__ = __mul__, __add__


@pytest.mark.parametrize("rates_learn", [False, True])
@pytest.mark.parametrize("zoh", [False, True])
@pytest.mark.parametrize("psp", [DELTA, EXP, ALPHA])
def test_the_sweep_multiplies_as_often_as_its_formula_says(psp, zoh, rates_learn, monkeypatch):
    """The kernel's own statements, run on numbers that count; h = (1 - k) psi is taken as a word."""
    for module in (sweep_module, s6_module):
        monkeypatch.setattr(module, "put", lambda x, k, table: x)
    monkeypatch.setattr(s6_module, "back_to_q", sweep_module.back_to_q.py_func)
    n, h, steps = 3, 2, 4

    def numbers(*shape):
        return np.vectorize(Counted, otypes=[object])(np.random.default_rng(0).normal(0, 1, shape))

    hist, bc, const, rates = numbers(steps, 8 + 2 * n, h), numbers(steps, 2 * n), numbers(8, h), numbers(2, n, h)
    empty = [np.zeros(shape, object) for shape in ((steps, 2, h), (steps, 2 * n), h, (n if rates_learn else 0, h))]
    Counted.done = 0
    order = np.arange(steps)[::-1]
    monkeypatch.setattr(np, "empty", lambda size: np.zeros(size, object))
    s6_sweep.py_func(hist, bc, order, 0, steps, const, rates, psp, False, zoh, *empty, None)
    assert Counted.done == steps * h * (s6_sweep_macs(KERNEL_OPERATIONS[psp], n, zoh, rates_learn) + 1)


@pytest.mark.parametrize(("bits", "least"), [(12, 0.99), (16, 0.999)])
def test_gradient_of_narrow_words_points_the_same_way(task, bits, least):
    """Adjoint and history words of some bits against 24."""
    total, program = {}, compiled(task, net_of(hidden=(8,)))
    labels = step_labels(task, task.train)
    for width in (bits, 24):
        config = LearnConfig(
            form="seq", adjoint_bits=width, history_bits=width, trace_bits=width, accumulator_bits=40, optimiser="sgd",
            state_bits=20, learn_a_log=True,
        )  # fmt: skip
        ready = prepare(program, config, {"readout.layer1": np.random.default_rng(1).normal(0, 2, (8, 2))})
        ready = calibrate(ready, task.train.x[:20], labels[:20], config)
        learner = Learner(ready, learn_config(ready.learning))
        got = sums_of(learner)
        for x, y in zip(task.train.x[:10], labels, strict=False):
            learner.sample(x, y)
        total[width] = got
    for name in ("w_in", "w_delta", "w_b", "w_c", "a_log"):
        a, b = (total[w][f"layers.0.{name}"].ravel() for w in (bits, 24))
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > least, name


BLOCKS = {"block": 5, "history": 5}


@pytest.mark.parametrize(("form", "discretisation"), [("seq", "zoh"), ("tr", "euler")])
def test_learns_the_task_and_counts_its_work(task, form, discretisation):
    h, n, epochs = 12, 2, 6
    net = net_of("exp", (h,), n_states=n, discretisation=discretisation)
    program = compiled(task, net, mapping="blocks")  # on one core: each core keeps B and C of its own
    result = learn_task(program, task, epochs=epochs, form=form, lr=0.004, seed=1, **(BLOCKS if form == "tr" else {}))
    assert result.accuracy[-1] >= 0.9
    ops, samples = result.result.operations, epochs * len(task.train)
    visits = T if form == "seq" else 5 + 10 + 9  # swept steps of a sample; tr: blocks of 5, 5, 4 with 5 older steps
    assert ops["learn_history_write"] == ((2 * n + 5) * h + 2 * n) * T * samples
    assert ops["learn_history_read"] == ((2 * n + 5) * h + 2 * n) * visits * samples
    assert (
        ops["learn_sweep_mac"]
        == s6_sweep_macs(KERNEL_OPERATIONS[1], n, discretisation == "zoh", False) * h * visits * samples
    )
    assert s6_sweep_macs(KERNEL_OPERATIONS[1], n, True, False) == 10 + 12 * n
    assert s6_sweep_macs(KERNEL_OPERATIONS[1], n, False, True) == 10 + 12 * n
    assert ops["learn_shared_words"] == 2 * n * visits * samples
    if form == "seq":  # an event: an addition a synapse, and those of B and C once, not once a channel
        events = sum(int((x != 0).sum()) for x in task.train.x) * epochs
        assert ops["learn_events"] == (2 * h + 2 * n) * events
        assert result.result.updates == samples
    assert set(ops) <= set(LEARNING)
    activity = result.result.activity()
    for name, total in ops.items():
        count = activity.counts[name]
        assert count.by_core.sum() == count.by_step.sum() == count.by_population.sum() == total, name


def test_what_is_learnt_does_not_depend_on_the_mapping_or_on_a_break(task, tmp_path):
    x, labels, results = task.train.x, step_labels(task, task.train), []
    options = {"lr": 0.01, "form": "tr", "block": 4, "learn_a_log": True, "prune_target": 0.3, "prune_every": 16}
    for per_core in (None, 2):
        program = ready_to_learn(compiled(task, neurons_per_core=per_core, mapping="blocks"), task, options)
        results.append(learn(program, x, labels, seed=3, epochs=2))
    one, other = results
    assert len(set(one.program.core)) < len(set(other.program.core))
    for a, b in zip(one.program.projections, other.program.projections, strict=True):
        assert np.array_equal(a.weights, b.weights), a.name
    for a, b in zip(one.program.populations, other.program.populations, strict=True):
        assert all(np.array_equal(v, b.params[k]) for k, v in a.params.items()), a.name
    broken = Learner(program, learn_config(program.learning), 3)
    learn(program, x, labels, seed=3, learner=broken, of_epochs=2)
    save_learning(broken, tmp_path / "half.safetensors")
    resumed = Learner(program, learn_config(program.learning), 3)
    load_learning(resumed, tmp_path / "half.safetensors")
    last = learn(program, x, labels, seed=3, learner=resumed, epoch=1, of_epochs=2)
    assert last.program.sha256() == other.program.sha256()
    assert last.operations == other.operations


def test_memory_is_counted_and_checked(task):
    h, n = 6, 2
    program = ready_to_learn(compiled(task), task, {})
    config = learn_config(program.learning)
    assert config.form == "seq"
    items = {(i.population, i.kind): i.words for i in learning_memory(program, config, T)}
    kept = T + 2 + 1  # two steps on the error's way
    cores = len(set(program.core[M + 2 * n : M + 2 * n + h].tolist()))
    assert items["layer1", "history"] == (2 * n + 5) * kept * h
    assert items["layer1", "history of B and C"] == 2 * n * kept * cores
    assert items["layer1", "gradient sums"] == 2 * M * h
    assert items["layer1.bc", "gradient sums"] == 2 * n * M
    assert items["layer1.bc", "sums over channels"] == 2 * n * kept
    assert not any(kind.startswith("eligibility") for _, kind in items)
    chip = load_chip("loihi2")
    assert check_learning(program, chip)
    with pytest.raises(FitError, match=r"core \d+: needs \d+ state_bytes .* limit"):
        check_learning(program, chip, LearnConfig(form="seq"), steps=10**6)


def test_the_command_learns_and_writes_a_model(task, tmp_path, monkeypatch):
    model, source, out, file = net_of(), tmp_path / "x.bimhw", tmp_path / "y.bimhw", tmp_path / "y.pt"
    compiled(task, model).save(source)
    monkeypatch.setattr("bimhw.tasks.load_named", lambda *given: task)
    args = [str(source), "--epochs", "1", "-o", str(out), "--model", str(file), "--learn-a-log", "--json"]
    printed = CliRunner().invoke(command, args, catch_exceptions=False)
    assert printed.exit_code == 0
    assert json.loads(printed.stdout)["updates"] == len(task.train)
    program = Program.load(out)
    config, arrays = read_back(program)
    assert (config.kind, program.learning["form"]) == ("s6", "seq")
    shared = next(q for q in program.projections if q.name == "layer1.bc.in")
    both = np.concatenate([arrays["layers.0.w_b"], arrays["layers.0.w_c"]])
    assert np.array_equal(both, shared.weights.reshape(M, 4).T * np.float32(4 / 128))
    a_log = program.population("layer1").params["l1"] * 2.0**-11
    assert np.array_equal(arrays["layers.0.a_log"][:, 1], a_log.astype(np.float32))
    assert not np.array_equal(arrays["layers.0.a_log"], model.layer(0).get_parameter("a_log").detach().numpy())
    loaded = load_model(file)
    assert all(np.array_equal(v.numpy(), arrays[k]) for k, v in loaded.state_dict().items())


def test_a_program_that_has_learnt_computes_what_its_model_does(task):
    """Scores of the chip within the rounding of its states of those of the model that was read back."""
    first = learn_task(compiled(task, net_of(hidden=(12,)), state_bits=20), task, epochs=2, lr=0.01, seed=1)
    model, program = model_of(first.program), first.program
    same = [0, 0]
    for x in task.test.x:
        scores = Learner(program, learn_config(program.learning)).sample(x, np.full(T, -1), learn=False).scores
        logits = model(torch.from_numpy(x[:, None] / 16).float())[:, 0].detach().numpy()
        late = task.decision_steps
        same[0] += int(scores[late].mean(0).argmax() == logits[late].mean(0).argmax())
        same[1] += 1
    assert same[0] >= 0.9 * same[1]


def test_what_s6_cannot_learn_is_named(task):
    program = compiled(task)
    for form in ("dense", "blk"):
        with pytest.raises(FitError, match=f"layer1.*s6 layer.*form '{form}'"):
            ready_to_learn(program, task, {"form": form})
    with pytest.raises(FitError, match="adaptive threshold"):
        ready_to_learn(compiled(task, net_of(adapt_beta=0.3)), task, {})
    with pytest.raises(InputError, match="learn_a_log"):
        LearnConfig(learn_a_log=True, learn_biases=False)
    diag = BimNet(BimConfig(n_in=M, hidden=(6,), n_out=2, input_scale=1 / 16), 0)
    with pytest.raises(FitError, match="A_log cannot learn"):
        ready_to_learn(compiled(task, diag), task, {"learn_a_log": True})
