"""The Potjans-Diesmann microcircuit against closed forms of its publication, brute force, and Brian2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bimhw
from bimhw.models.networks import microcircuit
from bimhw.models.networks import microcircuit_tables as published
from bimhw.models.networks.microcircuit import potjans_diesmann, rates_hz
from mapping.network import Network
from mapping.spec import check_network
from simulator.base.errors import InputError
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

UNREACHED = np.array(2**17 - 1, np.int32)  # a threshold of 250 mV and more


def program_of(network: Network) -> Program:
    size = sum(p.size for p in network.populations)
    return Program("", "", network.populations, network.projections, np.zeros(size, np.int32))


def test_synapse_numbers_are_the_published_ones() -> None:
    assert published.SIZES.sum() == 77_169
    numbers = published.synapse_numbers()
    assert abs(int(numbers.sum()) - 298_880_941) <= 1  # as published, computed by less exact logarithms
    n_t, n_s = 20_683, 5_834  # two neurons are connected with the published probability
    assert 1 - (1 - 1 / (n_t * n_s)) ** int(numbers[0, 1]) == pytest.approx(0.1689, abs=1e-6)


def test_the_network_is_sound_and_follows_its_seed() -> None:
    a, b, c = (potjans_diesmann(0.01, seed=seed, steps=5, delay_levels=1) for seed in (1, 1, 2))
    check_network(a)
    assert [p.size for p in a.populations] == [207, 58, 219, 55, 48, 11, 144, 29]
    assert program_of(a).sha256() == program_of(b).sha256() != program_of(c).sha256()
    assert {q.delay for q in a.projections if q.source.endswith("E")} == {15}
    assert {q.delay for q in a.projections if q.source.endswith("I")} == {8}


def test_in_degrees_weights_and_signs() -> None:
    network = potjans_diesmann(0.05, steps=1, delay_levels=1)
    for q in network.projections:
        t, s = (published.POPULATIONS.index(name) for name in (q.target, q.source))
        synapses = published.synapse_numbers()[t, s] / published.SIZES[t] * 0.05 * network.population(q.target).size
        weight = q.weights.astype(float).sum() * 2**q.exponent / synapses  # equal ones are merged: their sum stays
        external = microcircuit._unit(t).jump / 64
        ratio = -4 if q.source.endswith("I") else 2 if (q.target, q.source) == ("L23E", "L4E") else 1
        assert weight == pytest.approx(ratio * external / np.sqrt(0.05), rel=0.01 + 0.4 / np.sqrt(q.n_synapses))


def test_one_spike_gives_the_published_potential() -> None:
    for k, name in enumerate(published.POPULATIONS):
        unit = microcircuit._unit(k)
        params = dict(microcircuit._population(k, 1, unit, 1.0, 0, "dc").params) | {"bias_mant": np.array(0, np.int32)}
        current, keep = unit.jump, 1 - (params["du"] + 1) / 4096
        v, trace = 0.0, []
        for _ in range(200):
            v = v * (1 - params["dv"] / 4096) + current
            current *= keep
            trace.append(v * unit.mv)
        assert max(trace) == pytest.approx(0.15, rel=0.01), name
        assert params["vth"] * 64 * unit.mv == pytest.approx(15, rel=1e-3)


def test_background_has_mean_and_variance_of_the_poisson_input() -> None:
    """Campbell's theorem for exp(-t/tau_m) - exp(-t/tau_s) kernels; every threshold is out of reach."""
    made = [microcircuit._population(k, 500, microcircuit._unit(k), 0.02, 0, "poisson") for k in range(8)]
    free = tuple(replace(p, params=dict(p.params) | {"vth": UNREACHED}) for p in made)
    inputs = SpikeTrain(np.zeros(2001, np.int64), np.zeros(0, np.int32))
    probes = [(p.name, "v") for p in free]
    result = bimhw.run(program_of(Network("integer", free, ())), inputs, 2000, seed=3, probes=probes)
    amplitude = 0.15 / (20 ** (0.5 / -9.5) - 20 ** (10 / -9.5))  # mV: the difference of exponentials peaks at 0.15 mV
    for k, p in enumerate(free):
        mv = result.probes[p.name, "v"][1000:] * microcircuit._unit(k).mv
        rate = published.EXTERNAL_SYNAPSES[k] * 8 / 1000  # spikes/ms
        variance = rate * amplitude**2 * (10 / 2 + 0.5 / 2 - 2 * 10 * 0.5 / 10.5)
        lost = 1 - np.sqrt(0.02)
        spikes = (
            published.synapse_numbers()[k]
            / published.SIZES[k]
            @ ([microcircuit._relative_weight(k, s) for s in range(8)] * published.RATES)
        )
        mean = amplitude * 9.5 * (rate + lost * spikes / 1000)
        assert mv.mean() == pytest.approx(mean, abs=0.15)
        assert mv.std() == pytest.approx(np.sqrt(variance), rel=0.03)


def test_merging_adds_up_equal_targets() -> None:
    rng = np.random.default_rng(0)
    ptr = np.array([0, 40, 40, 100])
    targets, weights = rng.integers(0, 30, 100, np.int32), rng.integers(-9, 9, 100, np.int8)
    expected = np.zeros((3, 30), int)
    np.add.at(expected, (np.repeat(np.arange(3), np.diff(ptr)), targets), weights)
    merged = microcircuit._merge(ptr, targets, weights, np.zeros(30, np.int32), np.zeros(30, np.bool_))
    for row in range(3):
        part = slice(merged[row], merged[row + 1])
        assert (np.diff(targets[part]) > 0).all()
        found = np.zeros(30, int)
        found[targets[part]] = weights[part]
        assert (found == expected[row]).all()


def test_delay_levels_have_the_published_mean() -> None:
    assert microcircuit._delays("E", 1) == [15]
    levels = np.array(microcircuit._delays("E", 40))
    assert levels.min() >= 1 and levels.mean() == pytest.approx(15.4, abs=0.3)  # cutting at one step lifts it
    network = potjans_diesmann(0.01, delay_levels=4, steps=1)
    assert len({q.delay for q in network.projections if q.source == "L4E"}) == 4


def test_a_thalamic_pulse_drives_layers_4_and_6() -> None:
    network = potjans_diesmann(0.05, thalamic_pulse_ms=(20, 30), steps=400)
    assert network.inputs is not None and {q.target for q in network.projections if q.source == "TC"} == {
        "L4E", "L4I", "L6E", "L6I",
    }  # fmt: skip
    steps = np.flatnonzero(np.diff(network.inputs.ptr))
    assert steps.min() >= 200 and steps.max() < 300
    assert network.inputs.ids.size == pytest.approx(45 * 120 * 0.01, rel=0.5)


def test_a_tenth_fires_as_brian2_says() -> None:
    """Rates of a float network of a tenth with true Poisson input in Brian2 (python -m benchmarks microcircuit), 1 s."""
    network = potjans_diesmann(0.1, steps=3000, delay_levels=1)
    assert network.inputs is not None
    rates = rates_hz(network, bimhw.run(program_of(network), network.inputs, 3000).spikes, skip_ms=100)
    brian2 = (0.44, 2.07, 3.97, 4.99, 6.50, 7.73, 0.82, 7.04)
    for name, rate in zip(published.POPULATIONS, brian2, strict=True):
        assert rates[name] == pytest.approx(rate, rel=0.25, abs=0.15), name


def test_brian2_computes_the_same_spikes() -> None:
    """The integers of a tiny scale, with more constant current and thalamic spikes, in an independent simulator."""
    pytest.importorskip("brian2")
    from bimhw.evidence.crosscheck.check import crosscheck_program

    network = potjans_diesmann(0.005, background="dc", thalamic_pulse_ms=(1, 20), steps=400, delay_levels=2)
    driven = tuple(
        p if p.name == "TC" else replace(p, params=dict(p.params) | {"bias_exp": p.params["bias_exp"] + 1})
        for p in network.populations
    )
    program = program_of(replace(network, populations=driven))
    assert network.inputs is not None and bimhw.run(program, network.inputs, 400).spikes.ids.size > 200
    assert crosscheck_program(program, network.inputs, 400).equal


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0},
        {"scale": 2},
        {"background": "ac"},
        {"delay_levels": 0},
        {"steps": 0},
        {"thalamic_pulse_ms": (3, 2)},
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        potjans_diesmann(**{"scale": 0.01} | wrong)  # type: ignore[arg-type]
