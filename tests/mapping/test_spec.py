"""Networks as text, as graphs, and their specification: every rule refuses a network that breaks it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bimhw.compiler.pipeline import compile
from bimhw.frontends import load_network
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from mapping.network import Network
from mapping.spec import check_network
from simulator.base.errors import InputError
from simulator.program.graph import Population, Projection

CONFIG = BimConfig(n_in=3, hidden=(5, 4), n_out=2, psp="exp", dense_readout=True, input_delays=(0, 2))


@pytest.fixture(scope="module")
def stages() -> tuple[Network, Network]:
    net = BimNet(CONFIG, seed=0)
    net.readout.weight.data.fill_(0.25)
    result = compile(net, "loihi2", calibration=np.ones((2, 6, 3), int))
    return result.float_network, result.network


def squashed(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


GOLDEN_FLOAT = """
network float
  population input input n=3 layer=0 input []
  population layer1 bim_d_exp n=5 layer=1 hidden
    [D a b b_c b_d b_z beta gain graded hard kap n_ref p_vi p_vr rho rho_a theta]
  population layer2 bim_d_exp n=4 layer=2 hidden
    [D a b b_c b_d b_z beta gain graded hard kap n_ref p_vi p_vr rho rho_a theta]
  population readout readout_li n=2 layer=3 output [b k]
  projection layer1.z.t0 input -> layer1.z sparse nnz=15 delay=0
  projection layer1.z.t2 input -> layer1.z sparse nnz=15 delay=2
  projection layer1.d.t0 input -> layer1.d sparse nnz=15 delay=0
  projection layer1.d.t2 input -> layer1.d sparse nnz=15 delay=2
  projection layer1.c.t0 input -> layer1.c sparse nnz=15 delay=0
  projection layer1.c.t2 input -> layer1.c sparse nnz=15 delay=2
  projection layer2.z layer1 -> layer2.z sparse nnz=20 delay=0
  projection layer2.d layer1 -> layer2.d sparse nnz=20 delay=0
  projection layer2.c layer1 -> layer2.c sparse nnz=20 delay=0
  projection readout.layer1 layer1 -> readout.in sparse nnz=10 delay=1
  projection readout.layer2 layer2 -> readout.in sparse nnz=8 delay=0
"""
GOLDEN_INTEGER = """
  population readout readout_li n=2 layer=3 output [b limit m mul sh]
  projection layer2.z layer1 -> layer2.z dense nnz=20 delay=0 w8<<0
  projection readout.layer1 layer1 -> readout.in dense nnz=10 delay=1 w8<<0
"""


def test_text_of_the_float_stage(stages: tuple[Network, Network]) -> None:
    assert " ".join(str(stages[0]).split()) == " ".join(GOLDEN_FLOAT.split())


def test_text_of_the_integer_stage(stages: tuple[Network, Network]) -> None:
    lines = squashed(str(stages[1]))
    assert lines[0] == ["network", "integer"]
    for line in squashed(GOLDEN_INTEGER):
        assert line in lines
    layer1 = next(line for line in lines if line[1:3] == ["layer1", "bim_d_exp"])
    assert layer1[3:6] == ["n=5", "layer=1", "hidden"]
    assert {"wait", "lut", "sh_z", "[D"} <= {word.rstrip("]") for word in layer1}


def test_as_networkx(stages: tuple[Network, Network]) -> None:
    graph = stages[0].to_networkx()
    assert set(graph.nodes) == {"input", "layer1", "layer2", "readout"}
    assert graph.number_of_edges() == 11
    assert graph.edges["layer1", "readout", "readout.layer1"]["delay"] == 1
    assert graph.nodes["layer2"]["size"] == 4


def with_population(network: Network, which: str, **change: Any) -> Network:
    return replace(
        network, populations=tuple(replace(p, **change) if p.name == which else p for p in network.populations)
    )


def with_projection(network: Network, which: str, **change: Any) -> Network:
    return replace(
        network, projections=tuple(replace(q, **change) if q.name == which else q for q in network.projections)
    )


def params(network: Network, **change: Any) -> dict[str, Any]:
    return dict(network.population("layer1").params) | change


def without(network: Network, name: str) -> dict[str, Any]:
    return {k: v for k, v in network.population("layer1").params.items() if k != name}


def get(network: Network) -> Projection:
    return next(q for q in network.projections if q.name == "layer2.z")


Break = Callable[[Network], Network]
BROKEN: list[tuple[int, str, Break]] = [
    (0, "stage 'mixed'", lambda n: replace(n, stage="mixed")),  # type: ignore[arg-type]
    (0, "population 'layer1': exists twice", lambda n: with_population(n, "layer2", name="layer1")),
    (0, "projection 'layer2.z': exists twice", lambda n: with_projection(n, "layer2.d", name="layer2.z")),
    (0, "'nothing': is not registered", lambda n: with_population(n, "layer1", model="nothing")),
    (0, "has 0 neurons", lambda n: with_population(n, "layer1", size=0)),
    (0, "of layer 0", lambda n: with_population(n, "layer1", layer=0)),
    (0, "of layer 1", lambda n: with_population(n, "input", layer=1)),
    (0, r"shape \(7,\) for 5", lambda n: with_population(n, "layer1", shape=(7,))),
    (0, "'theta' has shape", lambda n: with_population(n, "layer1", params=params(n, theta=np.ones(3)))),
    (0, "'theta' holds NaN", lambda n: with_population(n, "layer1", params=params(n, theta=np.array(np.nan)))),
    (0, "names the population 'gone'", lambda n: with_projection(n, "layer2.z", source="gone")),
    (0, "port 'w'", lambda n: with_projection(n, "layer2.z", port="w")),
    (0, "do not fit its synapses", lambda n: with_projection(n, "layer2.z", indptr=np.zeros(6, np.int64))),
    (
        0,
        "go backwards",
        lambda n: with_projection(n, "layer2.z", indptr=np.array([0, 8, 4, 12, 16, 20])),
    ),
    (0, r"outside 0\.\.3", lambda n: with_projection(n, "layer2.z", indices=get(n).indices + np.int32(1))),
    (0, "not ascending", lambda n: with_projection(n, "layer2.z", indices=get(n).indices[::-1].copy())),
    (0, "3 weights for 20", lambda n: with_projection(n, "layer2.z", weights=np.ones(3))),
    (0, "not finite", lambda n: with_projection(n, "layer2.z", weights=get(n).weights * np.inf)),
    (0, "float stage", lambda n: with_projection(n, "layer2.z", weights=np.ones(20, np.int8))),
    (0, "delay -1", lambda n: with_projection(n, "layer2.z", delay=-1)),
    (0, "1 steps before its target of layer 3", lambda n: with_projection(n, "readout.layer1", delay=0)),
    (1, "lacks the parameter 'b_z'", lambda n: with_population(n, "layer1", params=without(n, "b_z"))),
    (1, "'extra', which model", lambda n: with_population(n, "layer1", params=params(n, extra=np.asarray(1)))),
    (1, "type float64", lambda n: with_population(n, "layer1", params=params(n, theta=np.asarray(1.0)))),
    (1, "word of 4 bits", lambda n: with_population(n, "layer1", params=params(n, n_ref=np.asarray(16)))),
    (1, "lacks the table 'decay'", lambda n: with_population(n, "layer1", tables={})),
    (1, "in the integer stage", lambda n: with_projection(n, "layer2.z", weights=get(n).weights.astype(float))),
    (1, "in 4 bits", lambda n: with_projection(n, "layer2.z", weight_bits=4, weights=get(n).weights * 0 + np.int8(9))),
    (1, "dense with", lambda n: with_projection(n, "layer2.z", **_half(get(n)))),
]


def _half(q: Projection) -> dict[str, Any]:
    return {"indptr": np.minimum(q.indptr, 12), "indices": q.indices[:12], "weights": q.weights[:12]}


@pytest.mark.parametrize(("stage", "message", "break_it"), BROKEN, ids=[b[1] for b in BROKEN])
def test_each_rule_refuses_what_breaks_it(
    stages: tuple[Network, Network], stage: int, message: str, break_it: Break
) -> None:
    assert check_network(stages[stage]) is stages[stage]
    with pytest.raises(InputError, match=message):
        check_network(break_it(stages[stage]))


def test_feedback_is_legal_whatever_its_layers() -> None:
    net = load_network(BimNet(CONFIG, seed=0))
    back = replace(get(net), name="back", source="layer2", target="layer1", indptr=np.zeros(5, np.int64))
    back = replace(back, indices=np.empty(0, np.int32), weights=np.empty(0))
    check_network(replace(net, projections=(*net.projections, back)))
    lone = Network("float", (Population("in", "input", 2),), ())
    assert check_network(lone) is lone
