"""The general engine against a step loop in plain Python with dictionaries."""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError, SaturationError
from simulator.chips.chip import Topology
from simulator.function import Simulation, run, run_samples
from simulator.neurons.base import NeuronModel, UpdateOps, Word, register
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

MESH = Topology(width=3, height=2, cores_per_router=2, usable_cores=12, host_port=(0, 1))


@numba.njit
def _relay_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    for i in range(lo, hi):
        state[0, i] = min(max(int(acc[0, i]) - int(acc[1, i]), -params[0, i]), params[0, i])
        out[i] = state[0, i]
    return 0


# A graded neuron with two ports, as a user would add one: emits the difference of its ports, within a limit.
register(
    NeuronModel(
        name="test_relay",
        ports=("plus", "minus"),
        states=(Word("d", 32),),
        params=(Word("limit", 32),),
        kernel=_relay_kernel,
        float_step=None,
        ops=UpdateOps(add=1),
        emits="graded",
        defaults={"limit": 2**31 - 1},
    )
)


def _random_program(rng: np.random.Generator, graded: bool = True) -> Program:
    models = ["input", "lif", "test_relay", "lif"] if graded else ["input", "lif", "input", "lif"]
    populations = []
    for k, model in enumerate(models):
        n = int(rng.integers(1, 7))
        params = {}
        if model == "lif":
            params = {"dv": np.array(512), "vth": rng.integers(1, 60, n), "bias": rng.integers(-2, 5, n)}
        if model == "test_relay":
            params = {"limit": np.array(1000)}
        role = "input" if model == "input" else "output" if k == 3 else "hidden"
        populations.append(Population(f"p{k}", model, n, params, role=role))
    projections = []
    for k in range(int(rng.integers(1, 9))):
        a, b = int(rng.integers(0, 4)), int(rng.choice([j for j in range(4) if models[j] != "input"]))
        matrix = rng.integers(-9, 12, (populations[b].size, populations[a].size)).astype(np.int8)
        matrix[rng.random(matrix.shape) < 0.5] = 0
        port = str(rng.choice(["plus", "minus"])) if models[b] == "test_relay" else "in"
        projections.append(
            Projection(
                f"q{k}", f"p{a}", f"p{b}", port, *dense_to_csr(matrix), delay=int(rng.choice([0, 0, 1, 3, 62, 63])),
                exponent=int(rng.integers(0, 3)),
            )
        )  # fmt: skip
    core = rng.integers(0, 12, sum(p.size for p in populations)).astype(np.int32)
    if rng.random() < 0.5:
        core[: populations[0].size] = HOST
    return Program("", "", tuple(populations), tuple(projections), core)


def _random_inputs(rng: np.random.Generator, program: Program, steps: int, graded: bool) -> SpikeTrain:
    dense = np.zeros((steps, program.n_neurons), np.int32)
    first = program.first_ids()
    for p in program.populations:
        if p.model == "input":
            part = (rng.random((steps, p.size)) < 0.4) * (rng.integers(-3, 4, (steps, p.size)) if graded else 1)
            dense[:, first[p.name] : first[p.name] + p.size] = part
    return SpikeTrain.from_dense(dense)


class Oracle:
    """The same step order in dictionaries: no rings, no arrays, one synapse at a time."""

    def __init__(self, program: Program) -> None:
        self.program, self.first = program, program.first_ids()
        self.v: dict[int, int] = {}
        self.arriving: dict[tuple[int, str, int], int] = {}  # (step, port, neuron) -> sum
        self.synaptic_events = self.active = 0
        self.packets: list[tuple[int, int]] = []

    def step(self, t: int, given: dict[int, int]) -> dict[int, int]:
        emitted = dict(given)
        for p in self.program.populations:
            for i in range(p.size):
                n = self.first[p.name] + i
                if p.model == "input":
                    continue
                inputs = {port: self.arriving.pop((t, port, n), 0) for port in ("in", "plus", "minus")}
                out = self._lif(p, i, n, inputs["in"]) if p.model == "lif" else inputs["plus"] - inputs["minus"]
                out = max(-1000, min(1000, out))
                self.active += bool(out) or any(inputs.values())
                if out:
                    emitted[n] = out
        self._send(t, emitted)
        return emitted

    def _lif(self, p: Population, i: int, n: int, current: int) -> int:
        v = self.v.get(n, 0)
        v = abs(v) * 7 // 8 * (1 if v >= 0 else -1) + current + int(p.params["bias"][i])
        fired = v >= p.params["vth"][i]
        self.v[n] = 0 if fired else v
        return int(fired)

    def _send(self, t: int, emitted: dict[int, int]) -> None:
        core, cores = self.program.core, {n: set() for n in emitted}
        for q in self.program.projections:
            a, b = self.first[q.source], self.first[q.target]
            for row in range(q.indptr.size - 1):
                if a + row in emitted:
                    for k in range(q.indptr[row], q.indptr[row + 1]):
                        target = b + int(q.indices[k])
                        key = (t + 1 + q.delay, q.port, target)
                        add = int(q.weights[k]) * emitted[a + row] * 2**q.exponent
                        self.arriving[key] = self.arriving.get(key, 0) + add
                        self.synaptic_events += 1
                        cores[a + row].add(int(core[target]))
        last = self.program.populations[-1]
        for n in emitted:
            self.packets += [(int(core[n]), c) for c in cores[n]]
            if n >= self.first[last.name] and last.role == "output":
                self.packets.append((int(core[n]), HOST))


def _place(core: int) -> tuple[int, int]:
    return MESH.host_port if core == HOST else (core // 2 // 2, core // 2 % 2)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_equals_the_dictionary_engine(seed: int, graded: bool) -> None:
    rng = np.random.default_rng(seed)
    program = _random_program(rng, graded)
    steps = int(rng.integers(1, 80))
    inputs = _random_inputs(rng, program, steps, graded)
    result = run(program, inputs, steps, topology=MESH)
    oracle = Oracle(program)
    given_dense, got = inputs.to_dense(0, program.n_neurons), result.spikes.to_dense(0, program.n_neurons)
    for t in range(steps):
        emitted = oracle.step(t, {int(i): int(given_dense[t, i]) for i in np.flatnonzero(given_dense[t])})
        assert {int(i): int(got[t, i]) for i in np.flatnonzero(got[t])} == emitted
    a = result.activity
    assert a.total("synaptic_events") == oracle.synaptic_events
    assert a.total("neuron_updates_active") == oracle.active
    distances = [(s, d, np.abs(np.subtract(_place(s), _place(d)))) for s, d in oracle.packets]
    assert a.total("packets") == sum(s != HOST for s, _, _ in distances)
    assert a.total("host_packets_in") == sum(s == HOST for s, _, _ in distances)
    assert a.total("host_packets_out") == sum(d == HOST for _, d, _ in distances)
    assert a.total("hops_ew") == sum(h[0] for _, _, h in distances)
    assert a.total("hops_ns") == sum(h[1] for _, _, h in distances)
    assert a.total("packets_in_tile") == sum(s != HOST and d != HOST and s // 2 == d // 2 for s, d, _ in distances)
    neurons = sum(p.size for p in program.populations if p.model != "input")
    assert a.total("neuron_updates") == neurons * steps
    for name, count in a.counts.items():
        assert count.by_core.sum() == count.by_step.sum() == count.by_population.sum(), name
        assert count.by_core.shape == (13,)
        assert count.by_step.shape == (steps,)


def test_spikes_do_not_depend_on_the_mapping() -> None:
    rng = np.random.default_rng(5)
    n = 40
    matrix = rng.integers(-3, 5, (n, n)).astype(np.int8)
    noisy = {"du": np.array(4095), "dv": np.array(300), "vth": np.array(200), "noise_target": np.array(1),
             "noise_exp": np.array(13)}  # fmt: skip
    program = Program(
        "", "", (Population("a", "loihi_cuba", n, noisy),),
        (Projection("q", "a", "a", "in", *dense_to_csr(matrix)),), np.zeros(n, np.int32),
    )  # fmt: skip
    silent = SpikeTrain(np.zeros(1, np.int64), np.empty(0, np.int32))
    runs = [
        run(
            dataclasses.replace(program, core=rng.integers(0, 12, n).astype(np.int32)),
            silent,
            50,
            seed=s,
            topology=MESH,
        )
        for s in (1, 1, 2)
    ]
    hashes = [r.spikes.spike_hash() for r in runs]
    assert runs[0].spikes.ids.size > 50
    assert hashes[0] == hashes[1] != hashes[2]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_samples_equal_single_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = _random_program(rng)
    samples = [_random_inputs(rng, program, 12, True) for _ in range(3)]
    probes = [("p1", "v")] if program.populations[1].model == "lif" else []
    together = run_samples(program, samples, 12, topology=MESH, probes=probes)
    alone = [run(program, s, 12, topology=MESH, probes=probes) for s in samples]
    for k in range(3):
        assert (
            together.spikes[k].to_dense(0, program.n_neurons).tolist()
            == alone[k].spikes.to_dense(0, program.n_neurons).tolist()
        )
        for p in probes:
            assert (together.probes[p][k] == alone[k].probes[p]).all()
    words = sum({"lif": 2, "test_relay": 1, "input": 0}[p.model] * p.size for p in program.populations)
    assert together.activity.total("state_resets") == 2 * words
    assert together.activity.samples == 3
    for name in ("spikes", "packets", "synaptic_events", "neuron_updates_active", "op_mul"):
        assert together.activity.total(name) == sum(a.activity.total(name) for a in alone)


def test_split_runs_equal_one_run() -> None:
    rng = np.random.default_rng(11)
    program = _random_program(rng)
    inputs = _random_inputs(rng, program, 40, True)
    whole = run(program, inputs, 40, topology=MESH)
    parts = Simulation(program)
    for lo, hi in ((0, 13), (13, 14), (14, 40)):
        cut = SpikeTrain(inputs.ptr[lo : hi + 1] - inputs.ptr[lo], inputs.ids[inputs.ptr[lo] : inputs.ptr[hi]],
                         None if inputs.payload is None else inputs.payload[inputs.ptr[lo] : inputs.ptr[hi]])  # fmt: skip
        parts.advance(cut, hi - lo)
    assert np.concatenate(parts.record.ids).tolist() == whole.spikes.ids.tolist()
    assert (
        np.concatenate(parts.record.payload).tolist()
        == whole.spikes.to_dense(0, program.n_neurons)[whole.spikes.to_dense(0, program.n_neurons) != 0].tolist()
    )


def _tiny(weight: int = 1, exponent: int = 0, model: str = "lif") -> Program:
    params = {"dv": np.array(0), "vth": np.array(2**31 - 1), "strict": np.array(1)} if model == "lif" else {}
    populations = (Population("in", "input", 2), Population("out", model, 2, params))
    csr = dense_to_csr(np.full((2, 2), weight, np.int32))
    port = "in" if model == "lif" else "plus"
    q = Projection("q", "in", "out", port, *csr, exponent=exponent, weight_bits=32)
    return Program("", "", populations, (q,), np.zeros(4, np.int32))


def _train(*steps: list[int], payload: list[int] | None = None) -> SpikeTrain:
    ptr = np.cumsum([0] + [len(s) for s in steps])
    ids = np.array([i for s in steps for i in s], np.int32)
    return SpikeTrain(ptr, ids, None if payload is None else np.array(payload, np.int32))


def test_saturation_is_counted_and_strict_makes_it_an_error() -> None:
    program = _tiny(2**28)
    train = _train([0, 1], [0, 1], [0, 1], [0, 1], [0, 1])
    a = run(program, train, 6).activity
    assert a.total("saturations") == 2 * 2  # both neurons in steps 4 and 5
    assert a.counts["saturations"].by_step.tolist() == [0, 0, 0, 0, 2, 2]
    assert a.counts["saturations"].by_population.tolist() == [0, 4]
    with pytest.raises(SaturationError, match=r"population 'out': saturated 2 values in step 4"):
        run(program, train, 6, strict=True)


def test_sums_beyond_32_bits_saturate_on_arrival_only() -> None:
    """Two graded spikes whose partial sums leave 32 bits but whose total does not: exact, in any order."""
    populations = (Population("in", "input", 3), Population("out", "test_relay", 1))
    csr = dense_to_csr(np.array([[600, 600, -1100]], np.int16))
    program = Program("", "", populations, (Projection("q", "in", "out", "plus", *csr),), np.zeros(4, np.int32))
    big = 2**22
    result = run(program, _train([0, 1, 2], payload=[big, big, big]), 2, probes=[("out", "d")])
    assert result.probes["out", "d"][:, 0].tolist() == [0, 100 * big]
    assert result.spikes.payload is not None
    assert result.spikes.payload[-1] == 2**23 - 1  # the payload has 24 bits
    assert result.activity.total("saturations") == 1
    both = run(program, _train([0, 1], payload=[big, big]), 2, probes=[("out", "d")])
    assert both.probes["out", "d"][1, 0] == 2**31 - 1
    assert both.activity.total("saturations") == 2


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (_train([2]), "drive neuron 2, which is no input. Input ids: in: 0..1"),
        (_train([7]), "drive neuron 7"),
        (_train([1, 0]), "step 0 has ids that do not ascend"),
        (_train([0], [1, 1]), "step 1 has ids that do not ascend"),
        (SpikeTrain(np.array([0, 2, 1]), np.array([0], np.int32)), "not in time order"),
        (_train([0], payload=[0]), "payload of 0"),
        (_train([0], payload=[2**23]), "beyond"),
    ],
)
def test_bad_inputs_are_refused(train: SpikeTrain, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(_tiny(), train, 3)


def _with(program: Program, **changes: object) -> Program:
    return dataclasses.replace(program, projections=(dataclasses.replace(program.projections[0], **changes),))


def test_bad_programs_are_refused() -> None:
    program, train = _tiny(), _train([0])
    cases = [
        (_with(program, port="z"), r"port 'z'.*has ports \['in'\]"),
        (_with(program, delay=64), "delay of 64 steps; the range is 0..63"),
        (_with(program, exponent=-1), "exponent -1"),
        (
            _with(program, indices=np.array([0, 1, 1, 1], np.int32)),
            "row 1 has targets that are not ascending and unique",
        ),
        (_with(program, weights=program.projections[0].weights * 1.5), "Quantise it first"),
        (_tiny(2**30, 31, "test_relay"), "beyond 64 bits"),
    ]
    lif = program.populations[1]
    for params, message in (
        ({"dv": np.array(0)}, "lacks the parameter 'vth'"),
        ({"dv": np.array(9000), "vth": np.array(1)}, "'dv' is 9000; its 13-bit word holds 0..8191"),
        ({"dv": np.array(0), "vth": np.array([1, 2, 3])}, r"shape \(3,\)"),
        ({"dv": np.array(0.5), "vth": np.array(1)}, "type float64"),
        ({"dv": np.array(0), "vth": np.array(1), "tau": np.array(1)}, "has the parameter 'tau'"),
    ):
        changed = (program.populations[0], dataclasses.replace(lif, params=params))
        cases.append((dataclasses.replace(program, populations=changed), message))
    for bad, message in cases:
        with pytest.raises(InputError, match=message):
            run(bad, train, 1)
    with pytest.raises(InputError, match=r"probe out.w: names no state word. States: \['v', 'held'\]"):
        run(program, train, 1, probes=[("out", "w")])
    with pytest.raises(InputError, match="Give at least one"):
        run_samples(program, [], 1)


def test_memory_that_probes_would_need_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.base.host_memory.available_bytes", lambda: 1_000_000)
    run(_tiny(), _train([0]), 1000, probes=[("out", "v")])
    with pytest.raises(InputError, match=r"probes of 100,000 steps: needs 2 MB for 2 values a step, and 1 MB"):
        run(_tiny(), _train([0]), 100_000, probes=[("out", "v")])


def test_available_memory_is_what_the_system_says() -> None:
    from simulator.base.host_memory import available_bytes, check_memory

    there = available_bytes()
    if there is None:
        pytest.skip("this system does not say how much memory is left")
    assert 1e6 < there < 1e15
    with pytest.raises(InputError, match=r"are available\. Buy more"):
        check_memory(10**16, "x", "y", "Buy more")
