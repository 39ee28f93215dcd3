"""The .nir reader: good files, repairs, and every kind of bad file refused with its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from bimhw.frontends.nir import build_graph, choose, read_graph
from bimhw.frontends.nir.order import order
from simulator.base.errors import InputError

LIF = ("LIF", {"tau": np.full(3, 2e-3), "r": np.full(3, 20.0), "v_leak": np.zeros(3), "v_threshold": np.ones(3)})
CHAIN = [("in", "fc"), ("fc", "lif"), ("lif", "out")]


def chain(**changes: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": ("Input", {"shape": np.array([4])}),
        "fc": ("Affine", {"weight": np.ones((3, 4)), "bias": np.zeros(3)}),
        "lif": LIF,
        "out": ("Output", {"shape": np.array([3])}),
    }
    return nodes | changes


def lif(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "LIF", LIF[1] | fields


def write_raw(path: Path, nodes: dict[str, tuple[str, dict[str, Any]]], edges: list[tuple[str, str]]) -> Path:
    """Write a .nir file without the checks of the nir package, so that bad ones can be written."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        root = file.create_group("node")
        root["type"] = "NIRGraph"
        root["edges"] = np.array(edges, dtype=h5py.string_dtype()) if edges else np.zeros((0, 2))
        for name, (kind, fields) in nodes.items():
            group = root.create_group(f"nodes/{name}")
            group["type"] = kind
            for key, value in fields.items():
                group[key] = value
    return path


def nir_chain() -> nir.NIRGraph:
    fields = {k: np.asarray(v) for k, v in LIF[1].items()}
    return nir.NIRGraph(
        nodes={
            "in": nir.Input(np.array([4])),
            "fc": nir.Affine(np.ones((3, 4)), np.zeros(3)),
            "lif": nir.LIF(**fields),
            "out": nir.Output(np.array([3])),
        },
        edges=CHAIN,
    )


def test_a_file_of_the_nir_package_is_read_with_its_shapes(tmp_path: Path) -> None:
    nir.write(tmp_path / "a.nir", nir_chain())
    graph = read_graph(tmp_path / "a.nir")
    assert [(n.name, n.kind, n.in_shape, n.out_shape) for n in graph.nodes.values()] == [
        ("fc", "Affine", (4,), (3,)),
        ("in", "Input", (4,), (4,)),
        ("lif", "LIF", (3,), (3,)),
        ("out", "Output", (3,), (3,)),
    ]
    assert set(graph.edges) == set(CHAIN)
    assert graph.notes == ()


def test_nested_graphs_become_one_flat_graph(tmp_path: Path) -> None:
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input(np.array([3])),
            "lif": nir.LIF(**{k: np.asarray(v) for k, v in LIF[1].items()}),
            "w_rec": nir.Linear(np.eye(3)),
            "output": nir.Output(np.array([3])),
        },
        edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    nodes = {
        "in": nir.Input(np.array([4])),
        "fc": nir.Linear(np.ones((3, 4))),
        "rec": inner,
        "out": nir.Output(np.array([3])),
    }
    outer = nir.NIRGraph(nodes=nodes, edges=[("in", "fc"), ("fc", "rec"), ("rec", "out")], type_check=False)
    nir.write(tmp_path / "n.nir", outer)
    graph = read_graph(tmp_path / "n.nir")
    assert {"rec.input", "rec.lif", "rec.w_rec", "rec.output"} < set(graph.nodes)
    assert ("fc", "rec.input") in graph.edges and ("rec.output", "out") in graph.edges
    assert order(graph).delayed == {("rec.lif", "rec.w_rec")}


BAD = {
    "nan weight": (chain(fc=("Affine", {"weight": np.full((3, 4), np.nan), "bias": np.zeros(3)})), CHAIN, "fc.*NaN"),
    "negative tau": (chain(lif=lif(tau=np.full(3, -1.0))), CHAIN, "lif.*tau.*must be > 0"),
    "infinite threshold": (chain(lif=lif(v_threshold=np.full(3, np.inf))), CHAIN, "lif.*v_threshold"),
    "unknown type": (chain(lif=("Sigmoid", {})), CHAIN, "lif.*unknown type 'Sigmoid'"),
    "missing field": (chain(lif=("LIF", {"tau": np.ones(3)})), CHAIN, "lif.*no field 'r'"),
    "dangling edge": (chain(), [*CHAIN, ("lif", "nowhere")], "'nowhere'"),
    "double edge": (chain(), [*CHAIN, ("fc", "lif")], "twice"),
    "shape": (chain(fc=("Affine", {"weight": np.ones((5, 4)), "bias": np.zeros(5)})), CHAIN, "'lif'.*\\[3\\].*\\[5\\] arrives"),
    "wide weight": (chain(fc=("Linear", {"weight": np.ones((3, 6))})), CHAIN, "'in' -> 'fc'.*\\[4\\].*\\[6\\]"),
    "output shape": (chain(out=("Output", {"shape": np.array([5])})), CHAIN, "out.*\\[5\\]"),
    "bias": (chain(fc=("Affine", {"weight": np.ones((3, 4)), "bias": np.zeros(2)})), CHAIN, "fc.*bias"),
    "no input": ({k: v for k, v in chain().items() if k != "in"}, CHAIN[1:], "no Input"),
    "no output": ({k: v for k, v in chain().items() if k != "out"}, CHAIN[:-1], "no Output"),
    "text weight": (chain(fc=("Linear", {"weight": "abc"})), CHAIN, "fc.*weight"),
    "mixed parameters": (chain(lif=lif(tau=np.ones(2))), CHAIN, "lif.*different shapes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_by_node_name(tmp_path: Path, name: str) -> None:
    nodes, edges, message = BAD[name]
    path = write_raw(tmp_path / "bad.nir", nodes, edges)
    with pytest.raises(InputError, match=message):
        read_graph(path)


def test_a_cycle_needs_a_neuron_or_a_delay() -> None:
    nodes = chain(loop=("Scale", {"scale": np.ones(3)}), back=("Scale", {"scale": np.ones(3)}))
    edges = [("in", "fc"), ("fc", "loop"), ("loop", "back"), ("back", "loop"), ("loop", "lif"), ("lif", "out")]
    with pytest.raises(InputError, match=r"cycle loop -> back -> loop.*no neuron and no Delay"):
        choose(build_graph(nodes, edges), "euler", 1e-4)
    nodes["back"] = ("Delay", {"delay": np.full(3, 1e-4)})
    assert order(choose_ok(nodes, edges)).delayed == frozenset()


def choose_ok(nodes: Any, edges: Any) -> Any:
    graph = build_graph(nodes, edges)
    choose(graph, "euler", 1e-4)
    return graph


def test_parameters_by_channel_wait_for_the_shape_that_arrives() -> None:
    """A neuron with parameters [C, 1, 1] may stand before the convolution it follows (files sort nodes by name)."""
    by_channel = {
        k: np.full((4, 1, 1), v) for k, v in {"tau": 2e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}.items()
    }
    nodes = {
        "1": ("LIF", by_channel),
        "0": ("Conv2d", {"weight": np.ones((4, 2, 3, 3)), "stride": 1, "padding": 0, "bias": np.zeros(4)}),
        "in": ("Input", {"shape": np.array([2, 7, 6])}),
        "out": ("Output", {}),
    }
    graph = build_graph(nodes, [("in", "0"), ("0", "1"), ("1", "out")])
    assert graph.nodes["1"].in_shape == graph.nodes["out"].in_shape == (4, 5, 4)


def test_equal_parameters_of_each_channel_serve_the_whole_map() -> None:
    """As snnTorch writes its recurrent convolutions."""
    fields = {"tau": np.full(4, 2e-3), "r": np.ones(4), "v_leak": np.zeros(4), "v_threshold": np.ones(4)}
    nodes: Any = {"in": ("Input", {"shape": np.array([4, 3, 2])}), "n": ("LIF", fields), "out": ("Output", {})}
    edges = [("in", "n"), ("n", "out")]
    graph = build_graph(nodes, edges)
    assert graph.nodes["n"].in_shape == (4, 3, 2)
    assert any("each of 4 channels" in n for n in graph.notes)
    nodes["n"] = ("LIF", fields | {"tau": np.array([1e-3, 2e-3, 3e-3, 4e-3])})
    with pytest.raises(InputError, match=r"node 'n'.*\[4\], but \[4, 3, 2\] arrives"):
        build_graph(nodes, edges)


def test_many_nodes_and_loops_are_ordered_in_their_number() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": ("Input", {"shape": np.array([1])}),
        "out": ("Output", {}),
    }
    edges, last = [], "in"
    for k in range(3000):  # a chain of integrators, each with a loop of its own
        nodes[f"n{k}"], nodes[f"w{k}"] = ("I", {"r": np.ones(1)}), ("Linear", {"weight": np.eye(1)})
        edges += [(last, f"n{k}"), (f"n{k}", f"w{k}"), (f"w{k}", f"n{k}")]
        last = f"n{k}"
    start = time.process_time()
    plan = order(build_graph(nodes, [*edges, (last, "out")]))
    assert plan.delayed == {(f"n{k}", f"w{k}") for k in range(3000)}
    assert time.process_time() - start < 5  # quadratic work would take half a minute


def test_sizes_are_refused_before_memory_is_taken() -> None:
    wide = (
        "Conv2d",
        {"weight": np.ones((1, 1, 1, 1)), "stride": 1, "padding": np.array([9000, 9000]), "bias": np.zeros(1)},
    )
    nodes = {"in": ("Input", {"shape": np.array([1, 4, 4])}), "c": wide, "out": ("Output", {})}
    with pytest.raises(
        InputError, match=r"graph: node 'c' \(Conv2d\): gives out \[1, 18004, 18004\]: 324,144,016 values"
    ):
        build_graph(nodes, [("in", "c"), ("c", "out")], "graph")
    slow = {"d": ("Delay", {"delay": np.full(1000, 100_000.0)})}
    nodes = {"in": ("Input", {"shape": np.array([1000])}), **slow, "out": ("Output", {})}
    with pytest.raises(InputError, match=r"node 'd'.*holds 100,001,000 values on their way"):
        choose(build_graph(nodes, [("in", "d"), ("d", "out")]), "euler", 1.0)


def test_factors_and_delays_are_checked_against_the_step() -> None:
    graph = build_graph(chain(), CHAIN)
    with pytest.raises(InputError, match=r"lif.*dt/tau = 1.5 with dt = 0.003, outside \(0, 1\]"):
        choose(graph, "euler", 3e-3)
    nodes = chain(d=("Delay", {"delay": np.full(3, 1.5e-4)}))
    delayed = build_graph(nodes, [("in", "fc"), ("fc", "d"), ("d", "lif"), ("lif", "out")])
    with pytest.raises(InputError, match=r"node 'd'.*1.5 steps"):
        choose(delayed, "euler", 1e-4)
    assert choose(delayed, "euler", 5e-5).default.dt == 5e-5


def test_the_step_is_chosen_only_where_the_file_tells_it() -> None:
    told = choose(build_graph(chain(), CHAIN))  # r = 20 = tau / 1e-4
    assert told.default.dt == 1e-4 and any("1e-04" in n or "0.0001" in n for n in told.notes)
    with pytest.raises(InputError, match=r"node 'lif'.*does not tell the time step"):
        choose(build_graph(chain(lif=lif(r=np.ones(3))), CHAIN))


@pytest.mark.parametrize("bad", ["half", "text", "type", "empty"])
def test_half_written_files_are_refused(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "x.nir"
    nir.write(path, nir_chain())
    if bad == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif bad == "text":
        path.write_text("not HDF5")
    elif bad == "type":
        with h5py.File(path, "a") as file:
            del file["node/nodes/lif/type"]
    else:
        with h5py.File(path, "w") as file:
            file["version"] = "1.0.8"
    with pytest.raises(InputError, match=r"x\.nir.*(HDF5|half-written)"):
        read_graph(path)


def _replaced(at: str, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[at]
        if value is None:
            file.create_group(at)
        elif isinstance(value, str):
            rows = file.create_dataset(at, (3,), dtype=h5py.vlen_dtype("f4"))
            rows[0], rows[1] = np.ones(4), np.ones(2)
        else:
            file[at] = value

    return change


ODD = {
    "edges of one number": ("edges", 5, "graph '/': edges: is no list of pairs"),
    "edges of numbers": ("edges", np.arange(6).reshape(3, 2), r"has an edge \[0, 1\]"),
    "nodes of one number": ("nodes", 5, "nodes: is no group of nodes"),
    "a node of one number": ("nodes/fc", 5, "node 'fc': has no 'type'"),
    "a type of numbers": ("nodes/fc/type", np.arange(3), "node 'fc': has no 'type' that is a text"),
    "a type that is a group": ("nodes/fc/type", None, "node 'fc': has no 'type' that is a text"),
    "a weight that is a group": ("nodes/fc/weight", None, "fc.*weight: is of type object"),
    "a weight of ragged rows": ("nodes/fc/weight", "ragged", "fc.*weight: is "),
    "complex weights": ("nodes/fc/weight", np.ones((3, 4), complex), "fc.*weight: is of type complex128"),
}


@pytest.mark.parametrize("name", ODD)
def test_files_of_another_form_are_refused_with_their_place(tmp_path: Path, name: str) -> None:
    at, value, message = ODD[name]
    path = write_raw(tmp_path / "odd.nir", chain(), CHAIN)
    with h5py.File(path, "a") as file:
        _replaced(f"node/{at}", value)(file)
    with pytest.raises(InputError, match=message):
        read_graph(path)


def test_names_that_would_write_on_a_terminal_are_refused(tmp_path: Path) -> None:
    nodes = {("lif\x1b[31m" if k == "lif" else k): v for k, v in chain().items()}
    path = write_raw(tmp_path / "odd.nir", nodes, [("in", "fc")])
    with pytest.raises(InputError, match=r"named 'lif\\x1b\[31m': with characters that do not print"):
        read_graph(path)


def test_a_file_beyond_memory_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "g.nir", "w") as file:
        file["a"], file["b"] = np.zeros(600), np.zeros(600)  # each would fit
    monkeypatch.setattr("simulator.base.host_memory.available_bytes", lambda: 6000)
    monkeypatch.setattr("h5py.File", lambda *_, **__: pytest.fail("was read"))
    with pytest.raises(InputError, match=r"g.nir: needs 0 MB for its arrays, and 0 MB are available"):
        read_graph(tmp_path / "g.nir")


def test_bombs_links_and_deep_nests_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "big.nir", chain(), CHAIN)
    with h5py.File(path, "a") as file:
        del file["node/nodes/fc/weight"]
        file.create_dataset("node/nodes/fc/weight", shape=(2**20, 2**20), dtype="f4", compression="gzip")
    with pytest.raises(InputError, match=r"/node/nodes/fc/weight.*holds 4,398,046,511,104 bytes"):
        read_graph(path)
    with h5py.File(path, "a") as file:
        del file["node/nodes/fc/weight"]
        file.create_dataset("node/nodes/fc/weight", shape=(2**13, 2**13), dtype="f4", compression="gzip")
    with pytest.raises(InputError, match="unpacks 0 bytes to 268,435,456"):
        read_graph(path)
    with h5py.File(path, "a") as file:
        del file["node/nodes/fc/weight"]
        file["node/nodes/fc/weight"] = h5py.ExternalLink("other.h5", "/w")
    with pytest.raises(InputError, match="is a link"):
        read_graph(path)
    with h5py.File(path, "a") as file:
        file["node/nodes/lif/loop"] = file["node"]  # a group inside itself
        del file["node/nodes/fc/weight"]
    with pytest.raises(InputError, match=r"nests groups deeper|more than"):
        read_graph(path)


@pytest.mark.parametrize("seed", range(24))
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    """The HDF5 library itself hangs or crashes on some of these; the reader must not."""
    monkeypatch.setattr("simulator.base.tried.TIME_LIMIT_S", 2)
    nir.write(tmp_path / "a.nir", nir_chain())
    rng = np.random.default_rng(seed)
    data = bytearray((tmp_path / "a.nir").read_bytes())
    for _ in range(rng.integers(1, 40)):
        data[rng.integers(0, len(data))] = rng.integers(0, 256)
    (tmp_path / "b.nir").write_bytes(data)
    try:
        assert set(read_graph(tmp_path / "b.nir").nodes)
    except InputError as error:
        assert "b.nir" in str(error)


def test_repairs_are_made_and_said() -> None:
    nodes = chain(lif=lif(tau=np.array(2e-3), r=np.array([20.0]), v_leak=np.array(0.0), v_threshold=np.array(1.0)))
    nodes["in"] = ("Input", {"shape": np.array([1, 4])})  # a batch dimension left in, as Norse does
    graph = build_graph(nodes, CHAIN)
    assert graph.nodes["lif"].in_shape == (3,)
    assert any("parameters of one element" in n for n in graph.notes)
    odd = chain(lif=lif(colour=np.ones(3)))
    assert any("colour" in n for n in build_graph(odd, CHAIN).notes)


def test_a_batch_size_in_front_of_the_ends_is_left_out_and_said() -> None:
    nodes = chain()
    nodes["in"], nodes["out"] = ("Input", {"shape": np.array([8, 4])}), ("Output", {"shape": np.array([8, 3])})
    graph = build_graph(nodes, CHAIN)
    assert graph.nodes["in"].out_shape == (4,)
    assert graph.nodes["out"].in_shape == (3,)
    assert any("size 8 in front" in n for n in graph.notes)
    nodes["out"] = ("Output", {"shape": np.array([7, 3])})
    with pytest.raises(InputError, match=r"states the shape \[7, 3\]"):
        build_graph(nodes, CHAIN)


def test_every_platform_file_reads_or_is_refused(shared: Path) -> None:
    refused = {"norse_cuba_conv", "braille_noDelay_bias_zero_subgraph", "braille_noDelay_noBias_subtract_subgraph"}
    for path in sorted(shared.glob("nir/*/*.nir")):
        if path.stem in refused:
            with pytest.raises(InputError, match=r"half-written|'lif', which is not a node"):
                read_graph(path)
        else:
            graph = read_graph(path)
            assert set(order(graph).nodes) == set(graph.nodes)
