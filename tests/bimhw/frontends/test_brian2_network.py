"""A user's Brian2 network: its own spikes from the float engine, integers on a chip, refusals by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bimhw
from mapping.float_run import record
from simulator.base.errors import InputError
from simulator.program.spikes import SpikeTrain

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 60


@pytest.fixture
def b2() -> Any:
    import sys

    hook = sys.excepthook
    module = pytest.importorskip("brian2", reason="needs the extra brian2")
    sys.excepthook = hook
    module.prefs.codegen.target = "numpy"
    module.start_scope()
    return module


def make(b2: Any, seed: int, current: bool, soft: bool, method: str) -> tuple[Any, dict[str, Any]]:
    """Two recurrent groups; dyadic weights, thresholds off their grid."""
    rng, ms = np.random.default_rng(seed), b2.ms
    names = {"tau": 4 * ms, "tau_s": 2 * ms, "theta": 1.01 + 1 / 3, "rest": 0.125}
    hit = rng.random((STEPS, 8)) < 0.3
    times, index = np.nonzero(hit)
    clock = b2.Clock(1 * ms)
    source = b2.SpikeGeneratorGroup(8, index, times * ms, clock=clock, name="source")
    model = "dv/dt = (rest + drive - v)/tau : 1\ndrive : 1 (constant)"
    if current:
        model = "dv/dt = (rest + drive - v + 2*I)/tau : 1\ndI/dt = -I/tau_s : 1\ndrive : 1 (constant)"
    reset = "v -= theta" if soft else "v = -0.25"
    parts: list[Any] = [source]
    for name in ("a", "b"):
        group = b2.NeuronGroup(
            7, model, threshold="v > theta", reset=reset, method=method, clock=clock, name=name, namespace=names
        )
        group.v, group.drive = rng.integers(-4, 9, 7) / 8, rng.integers(0, 9, 7) / 8
        parts.append(group)
    for k, (pre, post) in enumerate(((0, 1), (0, 2), (1, 2), (2, 1), (1, 1))):
        on_pre = "I_post += w" if current else "v += w"
        synapses = b2.Synapses(parts[pre], parts[post], "w : 1", on_pre=on_pre, clock=clock, name=f"s{k}")
        i, j = np.nonzero(rng.random((len(parts[pre]), 7)) < 0.6)
        synapses.connect(i=i, j=j)
        synapses.w = rng.integers(-8, 25, i.size) / 16
        synapses.delay = rng.integers(0, 4, i.size) * ms
        parts.append(synapses)
    monitors = {n: b2.SpikeMonitor(g, name=f"m_{n}") for n, g in (("a", parts[1]), ("b", parts[2]))}
    return b2.Network(*parts, *monitors.values()), monitors


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("current", "method"), [(False, "exact"), (False, "euler"), (True, "exact"), (True, "euler")])
def test_the_float_engine_gives_brian2s_own_spikes(b2: Any, current: bool, method: str, soft: bool) -> None:
    for seed in range(2):
        net, monitors = make(b2, seed, current, soft, method)
        train, network = bimhw.brian2_input(net, STEPS), bimhw.from_brian2(net)
        seen = record(network, {"source": train[None].astype(float)}, STEPS + 1, [("a", "out"), ("b", "out")])
        net.run(STEPS * b2.ms)
        for name, monitor in monitors.items():
            wanted = np.zeros((STEPS, 7))
            wanted[np.round(monitor.t / b2.ms).astype(int), monitor.i] = 1
            assert wanted.sum() > 10
            np.testing.assert_array_equal(seen[name, "out"][0, 1:], wanted)


def test_it_runs_in_integers_on_a_chip(b2: Any) -> None:
    net, _ = make(b2, 3, False, False, "exact")
    train = bimhw.brian2_input(net, STEPS)
    result = bimhw.compile(net, chip="loihi2", calibration=train[None])
    run = bimhw.run(result.program, SpikeTrain.from_dense(train), STEPS + 1)
    probes = [("a", "out"), ("b", "out")]
    wanted = record(result.float_network, {"source": train[None].astype(float)}, STEPS + 1, probes)
    first = result.program.first_ids()
    for name in ("a", "b"):
        assert (run.spikes.to_dense(first[name], 7) != wanted[name, "out"][0]).mean() < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refractory": "2*ms"}, "'g': has a refractory"),
        ({"model": "dv/dt = -v**2/tau : 1"}, "'g'"),
        ({"model": "dv/dt = -v/tau + xi*tau**-0.5 : 1", "method": "euler"}, "'g'"),
        ({"threshold": "v + v > 1"}, "'g'.*threshold"),
        ({"reset": "v -= 0.5"}, "'g'.*another value"),
        ({"model": "dv/dt = -v/tau0 : 1"}, "'g'.*not known"),
    ],
)
def test_other_groups_are_refused_by_name(b2: Any, change: dict[str, Any], message: str) -> None:
    given = {"model": "dv/dt = -v/tau : 1", "threshold": "v > 1", "reset": "v = 0", "method": "euler"} | change
    group = b2.NeuronGroup(2, **given, name="g", namespace={"tau": 4 * b2.ms})
    source = b2.SpikeGeneratorGroup(1, [0], [0] * b2.ms)
    with pytest.raises(InputError, match=message):
        bimhw.compile(b2.Network(group, source))


def test_other_objects_are_refused_by_name(b2: Any) -> None:
    tau = 4 * b2.ms  # found in the caller's names
    assert tau > 0
    group = b2.NeuronGroup(2, "dv/dt = -v/tau : 1", threshold="v > 1", reset="v = 0", method="euler", name="g")
    source = b2.SpikeGeneratorGroup(1, [0], [0] * b2.ms)
    assert bimhw.load_network(b2.Network(group, source)).n_neurons == 2
    with pytest.raises(InputError, match="PoissonGroup 'p': cannot be imported"):
        bimhw.from_brian2(b2.Network(group, source, b2.PoissonGroup(2, 5 * b2.Hz, name="p")))
    synapses = b2.Synapses(group, group, "w : 1", on_pre="v += w", on_post="w += 1", name="s")
    synapses.connect()
    with pytest.raises(InputError, match=r"Synapses 's'.*pathways"):
        bimhw.from_brian2(b2.Network(group, source, synapses))
    group.run_regularly("v = 0")
    with pytest.raises(InputError, match=r"'g'.*run_regularly"):
        bimhw.from_brian2(b2.Network(group, source))
