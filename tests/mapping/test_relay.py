"""Relay neurons: spikes of every population equal those of a chip with axons enough, moved by the steps that are said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from bimhw.compiler.fit import fit
from bimhw.compiler.pipeline import compile
from bimhw.runs.simulate import simulate
from mapping.mapper import map_network
from mapping.network import Network
from mapping.relay import Relay, insert_relays, map_with_relays, relay_population
from mapping.spec import check_network
from mapping.usage import usage
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

STEPS = 25


def chip_with(name: str = "loihi2", **limits: float | None) -> Chip:
    chip = load_chip(name)
    new = {k: msgspec.structs.replace(getattr(chip.limits, k), value=v and float(v)) for k, v in limits.items()}
    return msgspec.structs.replace(chip, name="few-axons", limits=msgspec.structs.replace(chip.limits, **new))


def neurons(name: str, model: str, n: int, layer: int, rng: np.random.Generator, role: str = "hidden") -> Population:
    words = get(model)
    values: dict[str, Any] = {"dv": 900, "du": 2000, "vth": 60, "theta": 60, "keep": 40_000, "mul": 1, "limit": 2**20}
    values |= {"fires": 1, "v_min": -(2**20), "wait": layer}
    params = {w.name: np.asarray(values.get(w.name, words.defaults.get(w.name, 0)), np.int32) for w in words.params}
    if model == "leaky":
        params["bias"] = rng.integers(0, 12, n).astype(np.int32)
    return Population(name, model, n, params, layer=layer, role=role)  # type: ignore[arg-type]


def dense(rng: np.random.Generator, n: int, m: int, p: float) -> Any:
    return dense_to_csr((rng.integers(-20, 60, (m, n)) * (rng.random((m, n)) < p)).astype(np.int8))


def layers(seed: int, models: tuple[str, str, str], loop: int | None = None) -> Network:
    """in -> a -> b -> c and a skip from a to c; with `loop`, b feeds a back after so many extra steps."""
    rng = np.random.default_rng(seed)
    populations = (
        Population("in", "input", 6),
        *(neurons(n, m, s, i + 1, rng) for i, (n, m, s) in enumerate(zip("abc", models, (6, 24, 10), strict=True))),
    )
    projections = [
        Projection("in.a", "in", "a", "in", *dense(rng, 6, 6, 0.8)),
        Projection("a.b", "a", "b", "in", *dense(rng, 6, 24, 0.9)),
        Projection("b.c", "b", "c", "in", *dense(rng, 24, 10, 0.5)),
        Projection("a.c", "a", "c", "in", *dense(rng, 6, 10, 0.5), delay=1),
    ]
    if loop is not None:
        projections.append(Projection("b.a", "b", "a", "in", *dense(rng, 24, 6, 0.3), delay=loop))
    return check_network(Network("integer", populations, tuple(projections), {"chip_steps": 9}))


def inputs(seed: int = 0, graded: bool = False) -> SpikeTrain:
    rng = np.random.default_rng(seed)
    dense_in = (rng.random((STEPS, 6)) < 0.5).astype(np.int32)
    return SpikeTrain.from_dense(dense_in * rng.integers(1, 4, dense_in.shape) if graded else dense_in)


def spikes_of(program: Program, graded: bool = False, steps: int = STEPS) -> dict[str, np.ndarray[Any, Any]]:
    train = inputs(graded=graded)
    more = np.concatenate([train.ptr, np.full(steps - STEPS, train.ptr[-1])])
    spikes = run(program, SpikeTrain(more, train.ids, train.payload), steps).spikes
    first = program.first_ids()
    return {p.name: spikes.to_dense(first[p.name], p.size) for p in program.populations}


def same_but_later(network: Network, mapped: Program, graded: bool = False) -> None:
    """Every population sends what it sends on a chip with axons enough, moved by the steps of the program's meta."""
    later = mapped.meta["relays"]["later_steps"]
    plenty = map_network(network, load_chip("loihi2"), "blocks").program
    want, got = spikes_of(plenty, graded), spikes_of(mapped, graded, STEPS + max(later.values(), default=0))
    for p in network.populations:
        shift = later.get(p.name, 0)
        assert want[p.name].any(), p.name
        assert not got[p.name][:shift].any()
        np.testing.assert_array_equal(got[p.name][shift : shift + STEPS], want[p.name], p.name)
        assert mapped.population(p.name).layer == p.layer + shift


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("models", "loop"),
    [
        (("lif", "lif", "if"), None),
        (("leaky", "leaky", "leaky"), None),  # constant inputs: they wait
        (("loihi_cuba", "loihi_cuba", "loihi_cuba"), 2),
        (("leaky", "lif", "leaky"), 1),
    ],
)
def test_spikes_are_equal(seed: int, models: tuple[str, str, str], loop: int | None) -> None:
    network = layers(seed, models, loop)
    chip = chip_with(out_axons_per_core=14)
    program, resources = map_with_relays(network, chip, 2)
    check_network(Network("integer", program.populations, program.projections))
    used = {r.name: r.worst for r in resources}
    assert used["out_axons"] <= 14
    assert program.meta["relays"]["neurons"] > 0
    same_but_later(network, program)
    assert program.meta["chip_steps"] == 9 + max(program.meta["relays"]["later_steps"].values(), default=0)


def test_slack_is_used_before_anything_moves() -> None:
    """Where every path has a step to spare, relays only shorten delays."""
    network = layers(3, ("lif", "lif", "lif"), loop=3)
    spare = Network(
        "integer",
        network.populations,
        tuple(replace(q, delay=q.delay + 1) if q.name != "in.a" else q for q in network.projections),
    )
    program, _ = map_with_relays(spare, chip_with(out_axons_per_core=14), 2)
    assert program.meta["relays"]["later_steps"] == {}
    assert {q.delay for q in program.projections if q.name == "a.b.relayed"} == {0}
    same_but_later(spare, program)


def test_payloads_are_relayed() -> None:
    """Neurons that send their membrane; the relays send it on."""
    rng = np.random.default_rng(0)
    source = neurons("a", "leaky_graded", 4, 1, rng)
    source = Population("a", "leaky_graded", 4, {**source.params, "fires": np.asarray(0, np.int32)}, layer=1)
    network = Network(
        "integer",
        (Population("in", "input", 6), source, neurons("b", "lif", 30, 2, rng)),
        (
            Projection("in.a", "in", "a", "in", *dense(rng, 6, 4, 0.9)),
            Projection("a.b", "a", "b", "in", *dense(rng, 4, 30, 0.9)),
        ),
    )
    program, _ = map_with_relays(network, chip_with(out_axons_per_core=16), 2)
    assert program.population("a.relay").model == "leaky_graded"
    same_but_later(network, program, graded=True)


def test_a_loop_without_a_step_to_spare_is_refused_by_name() -> None:
    with pytest.raises(
        FitError, match=r"projection '(a\.b|b\.a)': lies in a loop without a step to spare.*extra delay of 1"
    ):
        map_with_relays(layers(0, ("lif", "lif", "lif"), loop=0), chip_with(out_axons_per_core=14), 2)


def test_neurons_that_do_not_rest_are_refused_by_name() -> None:
    network = layers(0, ("lif", "lif", "lif"))
    restless = tuple(
        Population(p.name, p.model, p.size, {**p.params, "bias": np.asarray(3, np.int32)}, layer=p.layer)
        if p.name == "b"
        else p
        for p in network.populations
    )
    with pytest.raises(FitError, match=r"population 'b': would start 1 steps before its first input.* does not rest"):
        map_with_relays(Network("integer", restless, network.projections), chip_with(out_axons_per_core=14), 2)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"out_axons_per_core": 4},
            r"core \d+ \(a\): needs \d+ out_axons, chip 'few-axons' allows 4, and after \d+ relay",
        ),
        ({"out_axons_per_core": 14, "in_axons_per_core": 8}, r"core \d+ \([bc]\): needs \d+ in_axons, .* allows 8"),
    ],
)
def test_what_no_relay_can_help_is_refused_with_the_figures(limits: dict[str, float], message: str) -> None:
    with pytest.raises(FitError, match=message):
        map_with_relays(layers(0, ("lif", "lif", "lif"), loop=1), chip_with(**limits), 2)


@pytest.mark.parametrize("chip", ["loihi1", "loihi2", "generic"])
def test_a_relay_repeats_each_spike_one_step_later(chip: str) -> None:
    relay = relay_population("r", load_chip(chip), False, 6, 1)
    network = Network(
        "integer",
        (Population("in", "input", 6), relay),
        (Projection("q", "in", "r", "in", *dense_to_csr(np.eye(6, dtype=np.int8))),),
    )
    sent = spikes_of(map_network(network, load_chip(chip), "blocks").program, steps=STEPS + 1)
    np.testing.assert_array_equal(sent["r"][1:], sent["in"][:-1])


def test_a_chip_without_such_a_neuron_is_refused() -> None:
    with pytest.raises(FitError, match=r"needs a neuron that relays, and chip 'loihi2' has none"):
        relay_population("r", chip_of_models("izhikevich"), False, 1, 1)


def chip_of_models(*models: str) -> Chip:
    chip = load_chip("loihi2")
    can = msgspec.structs.replace(chip.capabilities, neuron_models=models)
    return msgspec.structs.replace(chip, capabilities=can)


def test_synapses_are_moved_not_made() -> None:
    network = layers(1, ("lif", "lif", "lif"))
    core = np.concatenate([np.full(6, -1), np.zeros(6), np.arange(1, 25), np.full(10, 25)]).astype(np.int32)
    relays = [Relay(6, 30, (1, 2, 3)), Relay(6, 31, (4, 5)), Relay(8, 30, (25, 2))]
    made, where = insert_relays(network, load_chip("loihi2"), core, relays)
    assert where.tolist()[-3:] == [30, 31, 30]
    matrices = {}
    for name, n in (("a.b", 24), ("a.c", 10)):
        old = next(q for q in network.projections if q.name == name)
        whole = np.zeros((6, n), int)
        whole[np.repeat(np.arange(6), np.diff(old.indptr)), old.indices] = old.weights
        parts = np.zeros((6, n), int)
        for q in made.projections:
            if q.name.removesuffix(".relayed") == name:
                source = np.array([0, 0, 2]) if q.name.endswith("relayed") else np.arange(6)
                np.add.at(
                    parts, (source[np.repeat(np.arange(q.indptr.size - 1), np.diff(q.indptr))], q.indices), q.weights
                )
        np.testing.assert_array_equal(parts, whole)
        matrices[name] = whole
    assert made.n_synapses == network.n_synapses + 3


def test_a_learning_projection_is_not_relayed() -> None:
    network = layers(0, ("lif", "lif", "lif"))
    plastic = tuple(replace(q, plastic="stdp") if q.name == "a.b" else q for q in network.projections)
    with pytest.raises(FitError, match=r"projection 'a\.b': learns"):
        map_with_relays(Network("integer", network.populations, plastic), chip_with(out_axons_per_core=14), 2)


def test_a_trained_model_computes_the_same_scores_through_relays(tmp_path: Any) -> None:
    model = "examples/digits.safetensors"
    chip = chip_with(out_axons_per_core=7)
    verdict = fit(model, chip, neurons_per_core=4)
    assert verdict["fits"] and verdict["relay_neurons"] > 0
    result = compile(model, chip, neurons_per_core=4)
    relays = result.report["mapping"]["relays"]
    assert relays["neurons"] == verdict["relay_neurons"]
    worst = {r.name: r.worst for r in usage(result.program, chip)}
    assert worst["out_axons"] <= 7
    done = simulate(result.program, samples=4, model=model, output=tmp_path / "run")
    plain = simulate(compile(model, "loihi2").program, samples=4, model=model, output=tmp_path / "plain")
    assert done.result["accuracy"] == plain.result["accuracy"]
    assert done.result["scores_rms_error"] == plain.result["scores_rms_error"]
    assert done.result["spikes_that_differ"] == plain.result["spikes_that_differ"]
    assert done.result["mean_step_ticks"] > 0
