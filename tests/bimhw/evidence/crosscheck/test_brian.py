"""Brian2 computes the same spikes and states, and a fault on either side is seen."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw.compiler.pipeline import compile
from bimhw.evidence.crosscheck.brian import brian_scope, run_brian, statements_of
from bimhw.evidence.crosscheck.cases import models, random_inputs, random_network
from bimhw.evidence.crosscheck.check import cross_check, crosscheck_float, crosscheck_program
from bimhw.evidence.crosscheck.compare import Comparison
from bimhw.evidence.crosscheck.plot import plot_distance
from mapping.network import Network
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get, names
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from tests.bimhw.frontends.test_nir_reader import write_raw
from tests.thinned import first

pytest.importorskip("brian2", reason="needs the extra brian2")
MODEL = Path(__file__).parents[4] / "examples" / "digits.safetensors"


def _check(seed: int, size: int, steps: int) -> Comparison:
    network = random_network(seed, size)
    result = crosscheck_float(network, random_inputs(network, steps, seed), steps)
    assert result.differ == 0, (seed, result.first)
    assert result.max_state_error <= 1e-10, (seed, result.state_error)
    assert result.equal
    return result


@pytest.mark.parametrize("seed", first(2, range(4)))
def test_random_networks(seed: int) -> None:
    assert _check(seed, 40, 70).events > 20


@pytest.mark.long
def test_every_model_in_a_random_network() -> None:
    seen = set()
    for seed in range(len(models())):  # the first population of seed k has model k + 1
        seen |= {p.model for p in random_network(seed, 40).populations}
        _check(seed, 40, 70)
    assert seen >= set(models())  # every model that draws its parameters took part


@pytest.mark.long
def test_a_hundred_large_random_networks() -> None:
    for seed in range(100, 200):
        _check(seed, 2000 if seed % 10 == 0 else 300, 1000 if seed % 5 == 0 else 300)


def _integer_program(model: str, seed: int) -> tuple[Program, SpikeTrain]:
    rng = np.random.default_rng(seed)
    n_in, n = 20, 30
    params = {
        "lif": {"dv": 512, "bias": 3, "vth": 400, "strict": 1, "refractory": 2},
        "if": {"bias": 5, "vth": 300, "soft": 1},
        "li": {"dv": 300, "bias": 2},
        "loihi_cuba": {"du": 400, "dv": 200, "vth": 50, "bias_mant": 3, "bias_exp": 4, "refractory": 1},
    }[model]
    full = {k: np.full(n, v, np.int32) for k, v in params.items()}
    populations = (Population("in", INPUT_MODEL, n_in, role="input"), Population("p", model, n, full, layer=1))
    projections = []
    for name, source, size, delay in (("a", "in", n_in, 0), ("b", "in", n_in, 7), ("c", "p", n, 3)):
        rows = rng.integers(-40, 60, (n, size)) * (rng.random((n, size)) < 0.5)
        indptr, indices, values = dense_to_csr(rows.astype(np.int16))
        projections.append(Projection(name, source, "p", "in", indptr, indices, values, delay, exponent=1))
    core = np.concatenate([np.full(n_in, -1), np.zeros(n, np.int64)]).astype(np.int32)
    program = Program("loihi1", "", populations, tuple(projections), core)
    return program, SpikeTrain.from_dense((rng.random((120, n_in)) < 0.3).astype(np.int32))


@pytest.mark.parametrize("model", ["lif", "if", "li", "loihi_cuba"])
def test_integers_are_the_same_integers(model: str) -> None:
    result = crosscheck_program(*_integer_program(model, 3), steps=120)
    assert result.equal
    assert result.tolerance == 0.0
    assert model == "li" or result.events > 50


LEAKY = [n for n in names() if get(n).family == "leaky"]


@pytest.mark.parametrize("seed", range(3))
def test_leaky_integers_of_every_reset_and_comparison(seed: int) -> None:
    """Four layers that wait for their turn; small words, so that values saturate; each neuron draws its own settings."""
    rng = np.random.default_rng(seed)
    populations, projections, n = [Population("in", INPUT_MODEL, 12, role="input")], [], 42
    for k, model in enumerate(LEAKY):
        graded = get(model).emits == "graded"
        drawn = {
            "mul": rng.integers(1, 4, n), "sh": rng.integers(-2, 4, n), "bias": rng.integers(-20, 40, n),
            "keep": rng.integers(0, 2**16 + 1, n), "theta": rng.integers(30, 200, n), "v_reset": rng.integers(-40, 20, n),
            "v_init": rng.integers(-50, 50, n), "v_min": rng.integers(-600, -100, n), "sh_out": rng.integers(0, 3, n),
            "fires": rng.integers(0 if graded else 1, 2, n), "limit": np.full(n, 700), "reset": np.arange(n) % 7,
            "cmp": rng.integers(0, 3 if graded else 2, n), "wait": np.full(n, k % 3),
            "keep_u": rng.integers(0, 2**16, n), "bias_u": rng.integers(-9, 9, n),
        }  # fmt: skip
        params = {w.name: drawn[w.name].astype(np.int32) for w in get(model).params}
        populations.append(Population(model, model, n, params, layer=k % 3))
        for source in populations[:-1][-2:]:
            rows = rng.integers(-40, 90, (n, source.size)) * (rng.random((n, source.size)) < 4 / source.size)
            if source.model != INPUT_MODEL and get(source.model).emits == "graded":
                rows = np.sign(rows)
            arrays = dense_to_csr(rows.astype(np.int16))
            projections.append(Projection(f"{source.name}-{model}", source.name, model, "in", *arrays, delay=2 * k))
    core = np.concatenate([np.full(12, -1), np.zeros(n * len(LEAKY), np.int64)]).astype(np.int32)
    program = Program("loihi2", "", tuple(populations), tuple(projections), core)
    inputs = SpikeTrain.from_dense((rng.random((60, 12)) < 0.3).astype(np.int32))
    result = crosscheck_program(program, inputs, steps=60)
    assert result.equal, result.first
    assert result.events > 1000


def test_a_wrong_weight_is_seen() -> None:
    program, inputs = _integer_program("lif", 4)
    network = Network("integer", program.populations, program.projections)
    given = {"in": inputs.to_dense(0, 20).astype(np.float64)}
    right = run_brian(network, given, 120).out["p"]
    bad = program.projections[0].weights.copy()
    bad[0] += 30
    wrong = replace(network, projections=(replace(program.projections[0], weights=bad), *program.projections[1:]))
    assert (run_brian(wrong, given, 120).out["p"] != right).any()


def test_trained_net_is_exact_on_samples() -> None:
    results = cross_check(MODEL, task="digits", samples=range(2))
    assert all(c.equal and c.events > 100 for c in results)


@pytest.mark.long
def test_trained_net_is_exact_on_twenty_samples() -> None:
    assert all(c.equal for c in cross_check(MODEL, task="digits", samples=range(20)))


def test_quantised_net_names_the_first_divergence(tmp_path: Path) -> None:
    program = compile(MODEL, chip="loihi2").program
    exact, result = cross_check(program, source=MODEL)
    assert exact.stage == "float" and exact.equal
    assert result.tolerance is None
    assert result.first is not None
    assert result.first.population == "layer1"
    assert result.differ == result.differ_by_step.sum() > 0
    plot_distance([result], tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_a_program_is_compared_by_the_profile_that_it_was_read_with(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lif = {"tau": np.full(6, 1e-3), "r": np.full(6, 10.0), "v_leak": np.zeros(6), "v_threshold": np.ones(6)}
    nodes: Any = {
        "in": ("Input", {"shape": np.array([6])}),
        "fc": ("Linear", {"weight": rng.normal(0, 0.6, (6, 6))}),
        "l": ("LIF", lif),
        "out": ("Output", {"shape": np.array([6])}),
    }
    path = write_raw(tmp_path / "m.nir", nodes, [("in", "fc"), ("fc", "l"), ("l", "out")])
    events = {}
    for profile in ("snntorch-subtract", "snntorch"):
        program = compile(path, "loihi2", reading={"profile": profile}).program
        exact, same, integers = cross_check(program, source=path, rate=0.5)
        assert exact.equal and exact.events > 50
        assert (same.stage, same.tolerance, same.equal) == ("integer", 0.0, True)
        assert integers.differ < 0.2 * integers.events
        events[profile] = exact.events
    assert events["snntorch-subtract"] != events["snntorch"]


def test_several_spikes_a_step_have_no_binary_twin(tmp_path: Path) -> None:
    """Counts in units of the chip are compared with its own integers alone; the comparison with float was a traceback."""
    neuron = {"r": np.ones(4), "v_threshold": np.full(4, 0.5)}
    nodes: Any = {
        "in": ("Input", {"shape": np.array([4])}),
        "fc": ("Linear", {"weight": np.random.default_rng(3).normal(0.3, 0.6, (4, 4))}),
        "l": ("IF", neuron),
        "out": ("Output", {"shape": np.array([4])}),
    }
    path = write_raw(tmp_path / "m.nir", nodes, [("in", "fc"), ("fc", "l"), ("l", "out")])
    program = compile(path, "loihi2", reading={"profile": "sinabs"}).program
    found = cross_check(program, source=path, rate=0.5)
    assert [(c.stage, c.against, c.equal) for c in found] == [("float", "brian2", True), ("integer", "brian2", True)]
    assert all(c.events > 50 for c in found)


def test_bench_net(shared: Path) -> None:
    (result,) = cross_check(shared / "bench/nets/s_5.npz", steps=60)
    assert result.equal
    assert result.events > 2000


@pytest.mark.long
def test_large_bench_net(shared: Path) -> None:
    (result,) = cross_check(shared / "bench/nets/m_5.npz", steps=200)
    assert result.equal
    assert result.events > 90_000


def test_what_brian2_cannot_express_is_named() -> None:
    sampler = Population("s", "spike_sampler", 3, {"bias": np.zeros(3), "shift": np.zeros(3)})
    with pytest.raises(InputError, match=r"population 's'.*spike_sampler.*--against torch"):
        statements_of(sampler, "float")
    noisy = Population("n", "loihi_cuba", 1, {"noise_target": np.ones(1)})
    with pytest.raises(InputError, match="random numbers"):
        statements_of(noisy, "float")
    program = compile(MODEL, chip="loihi2").program
    with pytest.raises(InputError, match="no Brian2 form in the integer stage"):
        cross_check(program)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"against": "nest"}, "Known: brian2"),
        ({"task": "digits", "samples": (500,)}, r"0\.\.499"),
        ({"rate": 2.0}, "from 0 to 1"),
    ],
)
def test_bad_input(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cross_check(MODEL, **arguments)  # type: ignore[arg-type]


def test_an_interrupt_ends_the_check_and_not_brian2s_run_alone() -> None:
    """Brian2 takes the first Ctrl-C as a wish to stop its run in peace; half a run would be judged."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with brian_scope("numpy") as b2, pytest.raises(KeyboardInterrupt):
            signal.signal(signal.SIGINT, b2._InterruptHandler(signal.default_int_handler))
            b2.Network(b2.NetworkOperation(lambda: signal.raise_signal(signal.SIGINT))).run(b2.ms)
    finally:
        signal.signal(signal.SIGINT, before)


def test_brian2_leaves_an_ignored_interrupt_ignored() -> None:
    """A background job of a shell ignores SIGINT; the handler that Brian2 installs cannot call that one."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from bimhw.evidence.crosscheck.brian import brian_scope\n"
        "with brian_scope('numpy'): signal.raise_signal(signal.SIGINT)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_program_of_two_inputs_is_driven_at_both() -> None:
    rng = np.random.default_rng(4)
    one = {"dv": np.full(6, 512.0), "vth": np.ones(6)}
    populations = (
        Population("left", "input", 5, role="input"),
        Population("right", "input", 3, role="input"),
        Population("cells", "lif", 6, one, layer=1, role="output"),
    )
    into = [
        Projection(f"from_{p.name}", p.name, "cells", "in", *dense_to_csr(rng.normal(0.3, 0.5, (6, p.size))))
        for p in populations[:2]
    ]
    program = compile(Network("float", populations, tuple(into)), "loihi2").program
    (found,) = cross_check(program, steps=60, rate=0.3)
    assert found.equal and found.events > 20
