"""Component diagrams: the skeleton, the findings against an anatomy table, and errors with a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.cli.main import cli
from bimhw.frontends.diagram.read import read_diagram
from simulator.base.errors import InputError

EXAMPLE = Path(__file__).parents[3] / "examples" / "reaching.json"


def example(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return data | changes


def kinds(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f.kind, f.path) for f in bimhw.from_diagram(data).findings]


def test_the_example_is_consistent_and_names_what_it_leaves() -> None:
    skeleton = bimhw.from_diagram(EXAMPLE)
    assert skeleton.consistent
    assert kinds(example()) == [("unused", "$.anatomy.connections[2]"), ("unused", "$.anatomy.connections[4]")]


def test_the_skeleton_has_the_sizes_signs_and_delays_of_the_diagram() -> None:
    data = example()
    network = bimhw.from_diagram(data, seed=3).network
    assert {p.name: p.size for p in network.populations} == {c["name"]: c["neurons"] for c in data["components"]}
    layers = {p.name: p.layer for p in network.populations}
    assert layers == {"retina": 0, "thalamus": 1, "cortex": 2, "striatum": 3, "pallidum": 4, "motor": 3}
    for q, given_ in zip(network.projections, data["interfaces"], strict=True):
        assert (q.source, q.target, q.delay) == (given_["source"], given_["target"], given_.get("delay", 0))
        assert (np.sign(q.weights) == (-1 if given_.get("sign") == "inhibitory" else 1)).all()
        m, n = len(q.indptr) - 1, layers and next(p.size for p in network.populations if p.name == q.target)
        p = given_["probability"]
        assert abs(q.weights.size - p * m * n) < 5 * np.sqrt(p * (1 - p) * m * n)
        assert q.weights.size * abs(float(q.weights[0])) / n == pytest.approx(2.0, rel=0.35)  # `strength` thresholds


def test_an_interface_keeps_its_synapses_when_others_change() -> None:
    whole = bimhw.from_diagram(EXAMPLE, seed=1).network.projections
    less = bimhw.from_diagram(example(interfaces=example()["interfaces"][2:]), seed=1).network.projections
    assert all((a.indices == b.indices).all() for a, b in zip(whole[2:], less, strict=True))


def test_contradictions_are_found_where_they_stand() -> None:
    data = example()
    data["interfaces"][3]["sign"] = "excitatory"
    data["interfaces"].append({"source": "motor", "target": "cortex"})
    data["components"][2]["region"] = "claustrum"
    data["anatomy"]["regions"][3]["neurons"] = 39
    found = kinds(data)
    assert ("contradicts", "$.interfaces[3].sign") in found
    assert ("unknown", "$.components[2]") in found
    assert ("contradicts", "$.components[3].neurons") in found
    assert ("contradicts", "$.interfaces[6]") not in found  # cortex stands in a region that the table does not know
    data["components"][2]["region"] = "cortex"
    assert ("contradicts", "$.interfaces[6]") in kinds(data)
    assert not bimhw.from_diagram(data).consistent


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), unique=True, max_size=14), st.data())
def test_findings_are_those_of_a_search_by_hand(edges: list[tuple[int, int]], data: Any) -> None:
    """Random diagrams of one input and one output: connections that are missing in the table, and parts off every way."""
    kept = data.draw(st.sets(st.sampled_from(edges))) if edges else set()
    names = [f"c{k}" for k in range(6)]
    roles = ["input", "output", *["hidden"] * 4]
    diagram = {
        "format": "bimhw-diagram-1",
        "components": [{"name": n, "neurons": 2, "role": r} for n, r in zip(names, roles, strict=True)],
        "interfaces": [{"source": names[a], "target": names[b], "probability": 1.0} for a, b in edges],
        "anatomy": {
            "regions": [{"name": n} for n in names],
            "connections": [{"source": names[a], "target": names[b]} for a, b in sorted(kept)],
        },
    }
    found = kinds(diagram)
    missing = [k for k, (a, b) in enumerate(edges) if (a, b) not in kept and a != b]
    assert [p for kind, p in found if kind == "contradicts"] == [f"$.interfaces[{k}]" for k in missing]
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(6))
    off = sum(not nx.has_path(graph, 0, k) for k in range(6)) + sum(not nx.has_path(graph, k, 1) for k in range(6))
    assert sum(kind == "unreached" for kind, _ in found) == off
    assert not [kind for kind, _ in found if kind == "unused"]


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        (lambda d: d["components"][1].update(neurons=0), r"\$\.components\[1\]\.neurons|components\[1\]", ">= 1"),
        (lambda d: d["components"][1].update(neuron=3), r"components\[1\]", "neuron"),
        (lambda d: d["components"][1].update(name="retina"), r"\$\.components\[1\]\.name", "twice"),
        (lambda d: d["interfaces"][0].update(target="thalamas"), r"\$\.interfaces\[0\]\.target", "no component"),
        (lambda d: d["interfaces"][0].update(target="retina"), r"\$\.interfaces\[0\]\.target", "is an input"),
        (lambda d: d["interfaces"].append(d["interfaces"][0]), r"\$\.interfaces\[6\]", "again"),
        (lambda d: d["interfaces"][0].update(probability=1.5), r"interfaces\[0\]\.probability", "<= 1"),
        (lambda d: d.update(format="bimhw-diagram-2"), r"\$\.format", "bimhw-diagram-2"),
        (lambda d: [c.update(neurons=900_000) for c in d["components"]], r"\$\.interfaces\[0\]", "synapses"),
    ],
)
def test_errors_have_the_path_of_the_value(change: Any, path: str, problem: str) -> None:
    data = example()
    change(data)
    with pytest.raises(InputError, match=path) as raised:
        read_diagram(data)
    assert problem in str(raised.value)


def test_a_diagram_compiles_and_runs_as_any_model(tmp_path: Path) -> None:
    program = bimhw.compile(str(EXAMPLE), "generic", mapping="blocks").program
    spikes = (np.random.default_rng(0).random((40, 32)) < 0.3).astype(np.int16)
    activity = bimhw.run(program, bimhw.encode(program, spikes), steps=44).activity
    by_name = dict(zip(activity.populations, activity.counts["spikes"].by_population, strict=True))
    assert by_name["motor"] > 0
    assert bimhw.energy(activity, "generic", program=program).report.energy_pj() > 0


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["diagram", str(EXAMPLE), "--json"])
    assert done.exit_code == 0 and json.loads(done.output) == bimhw.from_diagram(EXAMPLE).to_json()
    data = example()
    data["interfaces"][3]["sign"] = "excitatory"
    (tmp_path / "bad.json").write_bytes(msgspec.json.encode(data))
    done = CliRunner().invoke(cli, ["diagram", str(tmp_path / "bad.json")])
    assert done.exit_code == 1 and "contradicts its anatomy" in done.output
