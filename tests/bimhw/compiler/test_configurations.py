"""Every kind of BIM network that can be trained compiles and computes what it was trained to, or is refused by name.

The product of kinds, kernels, resets and readouts; adaptation, refractory times, taps, depth and learnt A_log run through
their values beside it, so that each pair of values of two fields occurs.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from bimhw.compiler.decode import encode
from bimhw.compiler.pipeline import CompileResult, compile
from bimhw.frontends import load_network
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from mapping.float_run import record
from simulator.base.errors import FitError
from simulator.chips.load import load_chip
from simulator.function import run_samples
from simulator.neurons.base import get
from simulator.neurons.s6 import PROJECT
from tests.bimhw.frontends.test_bim_frontend import start

KINDS: list[dict[str, Any]] = [
    {"kind": "diag"},
    {"kind": "s6", "discretisation": "euler", "n_states": 2},
    {"kind": "s6", "discretisation": "zoh", "n_states": 4},
]
READOUTS: list[dict[str, Any]] = [
    {"readout": "spike"},
    {"readout": "spike", "dense_readout": True},
    {"readout": "membrane", "k_membrane": 0.3},
    {"readout": "membrane", "k_membrane": 0.8, "dense_readout": True},
    {"readout": "membrane", "k_membrane": 0.2, "dense_readout": True},
]
ASIDE: dict[str, list[Any]] = {
    "hidden": [(9,), (8, 7), (7, 7, 5)],
    "refractory": [0, 3],
    "adapt_beta": [0.0, 0.2],
    "input_delays": [(0,), (0, 2), (1,)],
    "hidden_delays": [0, 4],
    "channel_delays": [0, 3],
    "learn_a_log": [False, True],
    "psp_norm": ["dc", "peak"],
    "residual": [False, True],
}
MAIN = list(itertools.product(KINDS, ["delta", "exp", "alpha"], ["soft", "hard"], READOUTS))
STEPS = 14


_REFUSED = [
    {("hidden", "(9,)"), ("hidden_delays", "4")},
    *({("hidden", hidden), ("residual", "True")} for hidden in ("(9,)", "(8, 7)")),
]


def configurations() -> list[BimConfig]:
    """One for each element of the product, the other fields drawn from a fixed sequence."""
    rng = np.random.default_rng(0)
    out = []
    for kind, psp, reset, readout in MAIN:
        aside = {name: values[rng.integers(len(values))] for name, values in ASIDE.items()}
        aside["hidden_delays"] *= len(aside["hidden"]) > 1
        aside["residual"] &= len(aside["hidden"]) > 2
        out.append(BimConfig(n_in=6, n_out=4, psp=psp, reset=reset, **kind, **readout, **aside, input_scale=1 / 16))
    return out


def test_every_pair_of_values_occurs() -> None:
    fields: dict[str, set[str]] = {}
    seen = set()
    for c in configurations():
        values = {n: str(getattr(c, n)) for n in (*ASIDE, "psp", "reset", "readout", "dense_readout", "kind")}
        for n, v in values.items():
            fields.setdefault(n, set()).add(v)
        seen |= {frozenset(p) for p in itertools.combinations(values.items(), 2)}
    for a, b in itertools.combinations(fields, 2):
        for u, v in itertools.product(fields[a], fields[b]):
            pair = {(a, u), (b, v)}
            assert frozenset(pair) in seen or pair in _REFUSED


def trained_like(config: BimConfig, seed: int) -> BimNet:
    """Return a network whose readout and A_log are not at their initial values."""
    net = BimNet(config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("readout") or (config.learn_a_log and name.endswith("a_log")):
                p.add_(0.5 * torch.randn(p.shape, generator=generator))
    return net


def first_difference(result: CompileResult, payloads: Any, tolerance: float) -> list[int]:
    """Chip step of each sample at which the program leaves its float network; checked to be a matter of rounding.

    Spikes feed back, so that one that falls on the other side of the threshold changes all that follows. Until then every
    membrane and score is within the tolerance, and the neurons that do differ were within it of their threshold.
    """
    program, network = result.program, result.float_network
    layers = [p for p in program.populations if p.role == "hidden" and p.model != PROJECT]
    steps, formats = program.meta["chip_steps"], program.meta["formats"]
    values = {"input": payloads * network.meta["input"]["scale"]}
    more = {p.name: ("A",) if "adaptive" in p.model else () for p in layers}
    words = [(p.name, w) for p in layers for w in ("out", "V", "v_pre", "ref", *more[p.name])]
    wanted = record(network, values, steps, [*words, ("readout", "y")])
    probes = [*((p.name, w) for p in layers for w in ("V", "ref")), ("readout", "y")]
    trains = [encode(program, p) for p in payloads]
    runs = run_samples(program, trains, steps, probes=probes, topology=load_chip("loihi2").topology)
    counted = runs.activity.counts.get("saturations")
    saturated = np.zeros(len(payloads) * steps) if counted is None else counted.by_step
    first, out = program.first_ids(), []
    for k, train in enumerate(runs.spikes):
        leaves = steps
        for p in layers:
            bound = tolerance * max(1.0, float(np.abs(wanted[p.name, "v_pre"]).max()))
            got = runs.probes[p.name, "V"][k] * 2.0 ** -formats[p.name]["V"]
            off = np.abs(got - wanted[p.name, "V"][k]) > bound
            off |= (
                runs.probes[p.name, "ref"][k] != wanted[p.name, "ref"][k]
            )  # a graded layer's own spikes, while they count
            if get(p.model).emits == "binary":
                off |= train.to_dense(first[p.name], p.size) != wanted[p.name, "out"][k]
            if not off.any():
                continue
            at = int(np.flatnonzero(off.any(axis=1))[0])
            if at <= leaves:
                raised = wanted[p.name, "A"][k, at - 1] if "adaptive" in p.model else 0.0
                away = np.abs(wanted[p.name, "v_pre"][k, at] - network.population(p.name).params["theta"] - raised)
                assert (away[off[at]] <= bound).all(), (p.name, at, away[off[at]], bound)
            leaves = min(leaves, at)
        y = runs.probes["readout", "y"][k] * program.meta["output"]["scale"]
        near = tolerance * (1 + float(np.abs(wanted["readout", "y"]).max()))
        assert (np.abs(y - wanted["readout", "y"][k])[program.meta["output"]["latency"] : leaves] <= near).all()
        assert not saturated[
            k * steps : k * steps + leaves
        ].any()  # later there may be spikes that the calibration never saw
        out.append(leaves)
    return out


@pytest.mark.parametrize("part", range(4))
def test_every_network_compiles_and_computes_what_it_was_trained_to(part: int) -> None:
    rng, followed, whole = np.random.default_rng(part), 0, 0
    for number, config in list(enumerate(configurations()))[part::4]:
        payloads = rng.integers(0, 16, (4, STEPS, 6)) * (rng.random((4, STEPS, 6)) < 0.5)
        fine = {"per_row": True, "free_scales": True, "state_bits": 24}  # what is left are the tables' steps
        result = compile(trained_like(config, number), "loihi2", calibration=payloads, mapping="blocks", **fine)
        assert result.program.meta["chip_steps"] == STEPS + start(config, config.n_layers)
        followed += sum(first_difference(result, payloads, 0.06))
        whole += 4 * result.program.meta["chip_steps"]
    assert followed > 0.4 * whole


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"refractory": 16}, "refractory time above 15 steps .* Shorten it"),
        ({"kind": "s6", "n_states": 65}, "n_states: is 65, a neuron has at most 64"),
        ({"hidden": (2,) * 64}, "layers: are 64, and a neuron waits for at most 63 steps.*Train at most 63 layers"),
        ({"kind": "s6", "hidden": (2,) * 32}, "layers: are 32, .* Train at most 31 layers"),
        ({"input_delays": (0, 63)}, "needs an extra delay of 63 steps, .* delays at most 62"),
        (
            {"hidden": (40, 3), "hidden_delays": 80},
            "projection 'layer2.z.d63': needs an extra delay .* delays at most 62",
        ),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_way_out(fields: dict[str, Any], message: str) -> None:
    config = BimConfig(**({"n_in": 3, "hidden": (4, 3), "n_out": 2} | fields))
    with pytest.raises(FitError, match=message):
        compile(BimNet(config, 0), "loihi2", calibration=np.ones((2, 70, 3), np.int32))


def test_words_that_are_too_small_are_refused_by_name() -> None:
    for name, value, message in (("d", 17.0, "parameter 'D': needs"), ("a_log", 17.0, "parameter 'l0': needs")):
        net = BimNet(BimConfig(kind="s6", n_states=2, n_in=3, hidden=(4,), n_out=2), 0)
        with torch.no_grad():
            net.layer(0).get_parameter(name).fill_(value)
        with pytest.raises(FitError, match=message):
            compile(load_network(net), "loihi2", calibration=np.ones((2, 5, 3), np.int32))
