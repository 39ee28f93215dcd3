"""Twenty firing patterns against Brian2, and a grid whose packets cross one link at most."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from bimhw.models.networks.firing_patterns import PATTERNS, FiringPattern
from bimhw.models.networks.gain import NEIGHBOURS, GainShape, gain_grid
from mapping.float_run import record
from mapping.network import Network
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.neurons.base import get
from simulator.neurons.izhikevich_fine import ONE
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST

RULE = Path(__file__).parents[4] / "examples" / "gain.yaml"
# spikes of each pattern, in the order of the source
SPIKES = (5, 1, 28, 6, 6, 6, 10, 14, 1, 1, 1, 1, 1, 7, 1, 5, 1, 1, 3, 12)


STEPS = [len(p.currents()) for p in PATTERNS]


def drive() -> Any:
    """Return the currents of all patterns side by side, [T, 20]."""
    out = np.zeros((max(STEPS), len(PATTERNS)))
    for k, pattern in enumerate(PATTERNS):
        out[: STEPS[k], k] = pattern.currents()
    return out


@cache
def in_float() -> tuple[list[int], ...]:
    """Return the steps at which each pattern's float neuron fires."""
    n, names = len(PATTERNS), PATTERNS[0].words()
    words = {name: np.array([p.words()[name] for p in PATTERNS]) for name in names}
    populations = (Population("in", "input", n, role="input"), Population("n", "izhikevich_fine", n, words, layer=1))
    one = Projection("in.n", "in", "n", "in", *dense_to_csr(np.eye(n) * ONE))
    seen = record(Network("float", populations, (one,)), {"in": drive()[None]}, max(STEPS) + 1, [("n", "out")])[
        "n", "out"
    ]
    return tuple(np.flatnonzero(seen[0, 1 : steps + 1, k]).tolist() for k, steps in enumerate(STEPS))


def in_integers(pattern: FiringPattern) -> list[int]:
    """Return the steps at which the kernel fires."""
    model, words = get("izhikevich_fine"), pattern.words()
    assert model.kernel is not None
    params = np.array([[int(words[w.name])] for w in model.params], np.int32)
    state = np.array([[int(words["v_init"])], [int(words["u_init"])]], np.int32)
    out, fired = np.zeros(1, np.int32), []
    for t, current in enumerate(pattern.currents()):
        acc = np.array([[round(current * ONE)]], np.int32)
        assert model.kernel(acc, state, params, np.zeros(0, np.int32), out, 0, 1, t, 0, 0) == 0
        if out[0]:
            fired.append(t)
    return fired


@pytest.mark.parametrize(
    ("pattern", "spikes"), list(zip(PATTERNS, SPIKES, strict=True)), ids=lambda x: getattr(x, "name", None)
)
def test_integers_fire_as_the_float_neuron(pattern: FiringPattern, spikes: int) -> None:
    fired = in_float()[PATTERNS.index(pattern)]
    assert len(fired) == spikes
    whole = in_integers(pattern)
    assert abs(len(whole) - spikes) <= (pattern.name == "phasic bursting")  # the last spike of its burst is marginal
    late = max(abs(a - b) for a, b in zip(fired, whole, strict=False))
    assert late <= (10 if pattern.name in ("phasic bursting", "class 2 excitable", "bistability") else 1)


def test_patterns_are_brian2s() -> None:
    """All spike times equal those of Brian2, which integrates with its own arrays and statements, by the same dt and method."""
    b2 = pytest.importorskip("brian2")
    from bimhw.evidence.crosscheck.brian import brian_scope

    with brian_scope("numpy"):
        group = b2.NeuronGroup(
            len(PATTERNS),
            "v:1\nu:1\na:1\nb:1\nc:1\nd:1\nk1:1\nk0:1\noffset:1\ndecays:1\nh:1\nI = drive(t, i) : 1",
            threshold="v >= 30", reset="v = c\nu += d",
            namespace={"drive": b2.TimedArray(drive(), dt=b2.defaultclock.dt)},
        )  # fmt: skip
        group.run_regularly(
            "v += h * (0.04 * v * v + k1 * v + k0 - u + I)\nu += a * (b * v + offset - decays * u)", when="groups"
        )
        scale = dict.fromkeys(("b", "c", "d", "k1", "k0", "offset"), float(ONE)) | {"a": 2.0**24, "decays": 1.0}
        for name, unit in scale.items():
            setattr(group, name, [p.words()[name] / unit for p in PATTERNS])
        group.h = [p.words()["dt"] / ONE for p in PATTERNS]
        group.v, group.u = ([p.words()[word] / ONE for p in PATTERNS] for word in ("v_init", "u_init"))
        monitor = b2.SpikeMonitor(group)
        net = b2.Network(group, monitor, *group.contained_objects)
        net.run(max(STEPS) * b2.defaultclock.dt)
        times, ids = np.round(monitor.t / b2.defaultclock.dt).astype(int), np.asarray(monitor.i)
    for k, pattern in enumerate(PATTERNS):
        theirs = times[ids == k]
        assert in_float()[k] == theirs[theirs < STEPS[k]].tolist(), pattern.name


def compiled(shape: GainShape, chip: str, tmp_path: Path, samples: int = 4) -> tuple[Any, Any]:
    task = bimhw.load_task("rows", rows=shape.rows, classes=shape.classes, high=0.3, train=8, test=8)
    program = bimhw.compile(gain_grid(shape, chip), chip, mapping="file", calibration=task.train.x[:4]).program
    return program, bimhw.simulate(program, task, samples, output=tmp_path / "run")


@pytest.mark.parametrize(
    ("chip", "shape"),
    [
        ("generic", GainShape(rows=8, columns=8, tile_rows=4, tile_columns=4, coupling=90)),
        ("generic", GainShape(rows=6, columns=9, tile_rows=3, tile_columns=3, classes=3, coupling=90)),
        ("generic", GainShape(rows=6, columns=4, tile_rows=3, tile_columns=2, coupling=90, learnt_readout=True)),
        ("loihi2", GainShape(rows=8, columns=8, tile_rows=4, tile_columns=8, classes=4, coupling=90)),
    ],
)
def test_packets_cross_one_link_at_most(tmp_path: Path, chip: str, shape: GainShape) -> None:
    program, _ = compiled(shape, chip, tmp_path)
    assert bimhw.energy(tmp_path / "run").report.energy_pj() > 0
    activity = bimhw.run(program, program_inputs(program, shape), steps=60).activity
    cores = np.unique(program.core[program.core != HOST])
    n = int(cores.max()) + 1  # behind them stands the host
    packets, ew, ns = (activity.counts[name].by_core[:n] for name in ("packets", "hops_ew", "hops_ns"))
    assert (ew + ns <= packets).all() and (ew + ns).sum() > 20
    t, first = load_chip(chip).topology, program.first_ids()
    router = program.core // t.cores_per_router
    x, y = router // t.height, router % t.height
    for q in program.projections[1:]:
        sources = np.repeat(np.arange(len(q.indptr) - 1), np.diff(q.indptr)) + first[q.source]
        targets = q.indices + first[q.target]
        far = np.abs(x[sources] - x[targets]) + np.abs(y[sources] - y[targets])
        assert far.max() <= 1
    assert len(cores) == shape.tile_rows * shape.tile_columns


def test_every_neuron_has_its_neighbours() -> None:
    net = gain_grid(GainShape(rows=4, columns=6))
    q = next(q for q in net.projections if q.name == NEIGHBOURS)
    degree = np.diff(q.indptr).reshape(4, 6)
    assert (degree[1:-1, 1:-1] == 4).all() and degree[0, 0] == 2 and degree[0, 1] == 3
    pairs = {(i, int(j)) for i in range(24) for j in q.indices[q.indptr[i] : q.indptr[i + 1]]}
    assert pairs == {(i, j) for i in range(24) for j in range(24) if abs(i // 6 - j // 6) + abs(i % 6 - j % 6) == 1}


def test_a_step_takes_the_time_of_its_operations(tmp_path: Path) -> None:
    """On Loihi 2 a core's neurons run a program, so a step grows by operations x 5.81 ns for each neuron more on a core."""
    ns = {}
    for side in (8, 16):
        shape = GainShape(rows=side, columns=side, coupling=90)
        _, run = compiled(shape, "loihi2", tmp_path / str(side), 1)
        ns[side] = run.result["mean_step_ns"]
    ops = get("izhikevich").ops
    total = ops.mul + ops.add + ops.state_read + ops.state_write
    more = (16 * 16 - 8 * 8) / 4  # neurons on each of four cores
    assert ns[16] - ns[8] == pytest.approx(more * total * 5.81, rel=0.3)


def test_a_grid_learns_by_reward_and_is_bounded() -> None:
    task = bimhw.load_task("rows", train=10, test=4)
    program = bimhw.compile(
        gain_grid(GainShape(learnt_readout=True)), "generic", mapping="file", calibration=task.train.x[:4]
    ).program
    done = bimhw.learn_by_rule(program, RULE, task)
    for name in (NEIGHBOURS, "readout.grid"):
        old, new = (next(q.weights for q in p.projections if q.name == name) for p in (program, done.program))
        assert (old != new).any() and new.min() >= -128 and new.max() <= 127
    assert done.operations["learn_weight_mac"] > 0


@pytest.mark.long
def test_neighbours_alone_learn_by_reward(tmp_path: Path) -> None:
    """Of examples/gain.yaml the rule between neighbours alone: far above the grid before, and above chance."""
    from benchmarks.gain import part_of_rule

    task = bimhw.load_task("rows")
    net = gain_grid(GainShape(coupling=70.0, learnt_readout=True))
    program = bimhw.compile(net, "generic", mapping="file", calibration=task.train.x[:10]).program
    rule = part_of_rule("neighbours", (0,), tmp_path)
    assert bimhw.learn_by_rule(program, rule, task, epochs=1).accuracy[-1] > 0.65


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(FitError, match="mesh"):
        gain_grid(GainShape(rows=18, columns=18, tile_rows=9, tile_columns=9, classes=9), "generic")
    with pytest.raises(InputError, match="does not divide"):
        GainShape(rows=7)
    with pytest.raises(InputError, match="3 tiles"):
        GainShape(rows=8, tile_rows=8, classes=2)
    with pytest.raises(InputError, match="3 tiles"):
        GainShape(rows=8, tile_rows=4, classes=2, learnt_readout=True)


def program_inputs(program: Any, shape: GainShape) -> Any:
    from bimhw.compiler.decode import encode

    x = np.random.default_rng(0).random((60, shape.rows)) < 0.3
    return encode(program, x.astype(np.int16))
