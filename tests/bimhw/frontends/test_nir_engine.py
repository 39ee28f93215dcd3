"""The float engine of NIR graphs against other computations: torch, scalar loops, ODE solutions, frameworks' spikes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.cli.commands.nir import command
from bimhw.frontends.nir import Profile, Settings, build_graph, check, choose, run_graph
from bimhw.frontends.nir.linear import apply
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.profile import CHOICES
from bimhw.frontends.nir.sources import settle
from mapping.float_run import record

GENERATED = (
    "snn_ff",
    "snn_conv",
    "snn_rec",
    "sj_conv",
    "sj_cuba",
    "norse_lif",
    "norse_cuba",
    "sinabs_lif",
    "sinabs_conv",
)


@pytest.mark.parametrize("name", GENERATED)
def test_the_frameworks_own_spikes_come_out(shared: Path, name: str) -> None:
    folder = shared / "nir" / "generated"
    result = check(folder / f"{name}.nir", folder / f"{name}.npz", str(folder / "profiles.json"))
    assert (result.differ, result.of) == (0, 768)


@pytest.mark.parametrize(
    ("name", "profile", "dt"),
    [
        ("snn_ff", None, None), ("snn_conv", None, None), ("snn_rec", None, None), ("sj_cuba", None, None),
        ("snn_ff", "snntorch", None), ("snn_rec", "snntorch", None), ("sj_conv", "spikingjelly", 1e-3),
        ("norse_lif", "norse", None), ("norse_cuba", "norse", None), ("sinabs_lif", "sinabs", None),
        ("sinabs_conv", "sinabs", None),
    ],
)  # fmt: skip
def test_named_and_automatic_profiles(shared: Path, name: str, profile: str | None, dt: float | None) -> None:
    folder = shared / "nir" / "generated"
    assert check(folder / f"{name}.nir", folder / f"{name}.npz", profile, dt).differ == 0


def test_a_wrong_reading_is_seen_and_a_better_one_hinted(shared: Path) -> None:
    folder = shared / "nir" / "generated"
    result = check(folder / "sinabs_conv.nir", folder / "sinabs_conv.npz")
    assert result.differ == 107  # measured by the makers of the files for this reading
    assert result.hints[0] == "0 would differ with --profile sinabs"


# ---- stateless nodes against torch


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.sampled_from([1, 2]))
    groups = draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(n)]
    size = [draw(st.integers(6, 9)) for _ in range(n)]
    padding = draw(st.sampled_from(["same", "valid", 0, 1, tuple(range(1, n + 1))]))
    stride = 1 if padding == "same" else draw(st.sampled_from([1, 2, tuple(range(1, n + 1))]))
    dilation = draw(st.sampled_from([1, 2]))
    shape = (2 * groups, draw(st.integers(1, 2)), *kernel)
    return {"n": n, "groups": groups, "size": size, "padding": padding, "stride": stride, "dilation": dilation,
            "shape": shape, "seed": draw(st.integers(0, 99))}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch on its own memory use
@settings(deadline=None, max_examples=40)
@given(convolutions())
def test_convolutions_equal_torch(case: dict[str, Any]) -> None:
    import torch

    rng = np.random.default_rng(case["seed"])
    weight, bias = rng.normal(size=case["shape"]), rng.normal(size=case["shape"][0])
    channels = case["shape"][1] * case["groups"]
    x = rng.normal(size=(2, channels, *case["size"]))
    kind = f"Conv{case['n']}d"
    fields = {k: case[k] for k in ("padding", "stride", "dilation", "groups")} | {"weight": weight, "bias": bias}
    graph = build_graph(
        {"in": ("Input", {"shape": np.array(x.shape[1:])}), "c": (kind, fields), "out": ("Output", {})},
        [("in", "c"), ("c", "out")],
    )
    function = torch.nn.functional.conv1d if case["n"] == 1 else torch.nn.functional.conv2d
    wanted = function(torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias), padding=case["padding"],
                      stride=case["stride"], dilation=case["dilation"], groups=case["groups"]).numpy()  # fmt: skip
    assert graph.nodes["c"].out_shape == wanted.shape[1:]
    np.testing.assert_allclose(apply(graph.nodes["c"], x), wanted, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.booleans(), st.integers(0, 99))
def test_pools_equal_torch(kernel: int, stride: int, padding: int, mean: bool, seed: int) -> None:
    import torch

    padding = min(padding, kernel // 2)
    x = np.random.default_rng(seed).normal(size=(2, 3, 7, 6))
    fields = {"kernel_size": kernel, "stride": np.array([stride, stride]), "padding": padding}
    kind = "AvgPool2d" if mean else "SumPool2d"
    graph = build_graph(
        {"in": ("Input", {"shape": np.array(x.shape[1:])}), "p": (kind, fields), "out": ("Output", {})},
        [("in", "p"), ("p", "out")],
    )
    wanted = torch.nn.functional.avg_pool2d(torch.from_numpy(x), kernel, stride, padding).numpy()
    np.testing.assert_allclose(apply(graph.nodes["p"], x), wanted * (1 if mean else kernel**2), atol=1e-12)


def test_flatten_keeps_torchs_order() -> None:
    nodes = {
        "in": ("Input", {"shape": np.array([2, 3, 4])}),
        "f": ("Flatten", {"start_dim": 1, "end_dim": 2}),
        "out": ("Output", {}),
    }
    graph = build_graph(nodes, [("in", "f"), ("f", "out")])
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    assert graph.nodes["f"].out_shape == (2, 12)
    assert (apply(graph.nodes["f"], x) == x.reshape(1, 2, 12)).all()


# ---- neurons against scalar loops written from the table of design, one at a time


def scalar(kind: str, f: dict[str, float], s: Settings, xs: list[float]) -> tuple[list[float], list[float]]:
    """One neuron, plain floats: outputs and membranes."""
    dt = s.dt or 1.0
    v = {"zero": 0.0, "v_leak": f.get("v_leak", 0.0), "v_reset": f.get("v_reset", 0.0)}[s.v_init]
    i, last, outs, membranes = 0.0, 0.0, [], []
    for x in xs:
        before = v
        if kind.endswith("IF") and s.reset == "to_v_reset_next_step" and last:
            v = f["v_reset"]
        if kind in ("I", "IF"):
            v += dt * f["r"] * x
        elif kind in ("LI", "LIF"):
            if s.integrator == "euler":
                v += dt / f["tau"] * (f["v_leak"] - v + f["r"] * x)
            elif s.integrator == "exp":
                v = f["v_leak"] + np.exp(-dt / f["tau"]) * (v - f["v_leak"]) + x
            else:
                a = np.exp(-dt / f["tau"])
                v = f["v_leak"] + a * (v - f["v_leak"]) + (1 - a) * x
        elif s.integrator == "norse_jump":
            i += x
            v += dt / f["tau_mem"] * (f["v_leak"] - v + i)
            i -= dt / f["tau_syn"] * i
        else:
            i += dt / f["tau_syn"] * (-i + f["w_in"] * x)
            v += dt / f["tau_mem"] * (f["v_leak"] - v + f["r"] * i)
        if not kind.endswith("IF"):
            outs.append(v)
            membranes.append(v)
            continue
        if s.reset == "zero_next_step_input_lost" and last:
            v = f["v_reset"]
        if s.reset == "subtract_next_step":
            v -= f["v_threshold"] * last
        theta = f["v_threshold"]
        lowered = theta if s.reset == "subtract_now_lowered" and before > theta else 0.0
        v -= lowered
        last = float(v > theta) if s.cmp == ">" else float(v >= theta)
        if s.cmp == "multi":
            last = float(np.floor(v / theta)) if v > 0 else 0.0
        if s.reset == "to_v_reset_now" and last:
            v = f["v_reset"]
        v += lowered
        if s.reset in ("subtract_now", "subtract_now_lowered"):
            v -= theta * last
        if s.v_min is not None:
            v = max(v, s.v_min)
        outs.append(last)
        membranes.append(v)
    return outs, membranes


@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from(["I", "LI", "IF", "LIF", "CubaLI", "CubaLIF"]),
    st.sampled_from(["euler", "exp", "exp_norm", "norse_jump"]),
    st.sampled_from([">", ">=", "multi"]),
    st.sampled_from(CHOICES["reset"]),
    st.sampled_from(["zero", "v_leak", "v_reset"]),
    st.sampled_from([None, -0.5]),
    st.integers(0, 10_000),
)  # fmt: skip
def test_neurons_equal_a_scalar_loop(
    kind: str, integrator: str, cmp: str, reset: str, v_init: str, v_min: float | None, seed: int
) -> None:
    if kind.startswith("Cuba") and integrator in ("exp", "exp_norm"):
        integrator = "euler"
    if kind in ("LI", "LIF") and integrator == "norse_jump":
        integrator = "euler"
    if not kind.endswith("IF"):
        v_min = None
    rng = np.random.default_rng(seed)
    f = {"tau": 4e-3, "tau_mem": 4e-3, "tau_syn": 2e-3, "r": rng.uniform(0.5, 3), "v_leak": rng.uniform(-0.1, 0.2),
         "v_threshold": 0.4, "v_reset": rng.uniform(-0.2, 0.1), "w_in": rng.uniform(0.5, 2)}  # fmt: skip
    wanted = {"I": ("r",), "IF": ("r", "v_threshold", "v_reset"), "LI": ("tau", "r", "v_leak")}
    wanted["LIF"] = (*wanted["LI"], "v_threshold", "v_reset")
    wanted["CubaLI"] = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")
    wanted["CubaLIF"] = (*wanted["CubaLI"], "v_threshold", "v_reset")
    fields = {k: np.array([f[k]]) for k in wanted[kind]}
    dt = 1e-3 if kind not in ("I", "IF") else 1.0
    graph = build_graph(
        {"in": ("Input", {"shape": np.array([1])}), "n": (kind, fields), "out": ("Output", {})},
        [("in", "n"), ("n", "out")],
    )
    chosen = settle(graph, Profile("test", Settings(dt, integrator, cmp, reset, v_init, v_min)))
    xs = rng.normal(0.3, 0.5, size=25)
    run = run_graph(graph, chosen, {"in": xs.reshape(25, 1, 1)}, probes=["n"])
    outs, membranes = scalar(kind, {k: f[k] for k in wanted[kind]}, chosen.default, xs.tolist())
    np.testing.assert_allclose(run.probes["n"].reshape(-1), outs, atol=1e-9)
    np.testing.assert_allclose(run.membranes["n"].reshape(-1), membranes, atol=1e-9)


@pytest.mark.parametrize(("tau_syn", "tau_mem"), [(2e-3, 5e-3), (3e-3, 3e-3), (3e-3, 3.0000001e-3)])
def test_exact_is_the_solution_of_the_equation(tau_syn: float, tau_mem: float) -> None:
    from scipy.linalg import expm

    p = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": 1.7, "v_leak": 0.3, "w_in": 2.5}
    fields = {k: np.array([v]) for k, v in p.items()}
    graph = build_graph(
        {"in": ("Input", {"shape": np.array([1])}), "n": ("CubaLI", fields), "out": ("Output", {})},
        [("in", "n"), ("n", "out")],
    )  # fmt: skip
    dt, xs = 1e-3, np.random.default_rng(1).normal(size=20)
    run = run_graph(graph, choose(graph, "exact", dt), {"in": xs.reshape(-1, 1, 1)})
    # state (i, v, 1) as one linear system, by the matrix exponential
    state = np.array([0.0, 0.0, 1.0])
    for t, x in enumerate(xs):
        a = np.array([
            [-1 / tau_syn, 0, p["w_in"] * x / tau_syn],
            [p["r"] / tau_mem, -1 / tau_mem, p["v_leak"] / tau_mem],
            [0, 0, 0],
        ])  # fmt: skip
        state = expm(a * dt) @ state
        np.testing.assert_allclose(run.outputs["out"][t, 0, 0], state[1], atol=1e-10)


@pytest.mark.parametrize("kind", ["LIF", "IF"])
def test_exact_crosses_the_threshold_within_the_step(kind: str) -> None:
    """Against the same equation in steps 4000 times finer; inputs strong enough for several crossings a step."""
    fields = {"r": 1.0, "v_threshold": 0.5, "v_reset": -0.1} | ({"tau": 3.0, "v_leak": 0.05} if kind == "LIF" else {})
    arrays = {k: np.array([v]) for k, v in fields.items()}
    graph = build_graph(
        {"in": ("Input", {"shape": np.array([1])}), "n": (kind, arrays), "out": ("Output", {})},
        [("in", "n"), ("n", "out")],
    )
    xs = np.random.default_rng(5).uniform(0, 2.5, 30)
    run = run_graph(graph, choose(graph, "exact", 1.0), {"in": xs.reshape(-1, 1, 1)}, probes=["n"])
    v, fine = 0.0, 4000
    for t, x in enumerate(xs):
        crossed = 0
        for _ in range(fine):
            v += ((0.05 - v + x) / 3.0 if kind == "LIF" else x) / fine
            if v > 0.5:
                v, crossed = v - 0.6, 1  # what is left of the fine step goes on from v_reset
        assert run.probes["n"][t, 0, 0] == crossed
        assert run.membranes["n"][t, 0, 0] == pytest.approx(v, abs=2e-2)


def test_our_distance_to_the_exact_lif_is_below_every_platforms(shared: Path) -> None:
    from benchmarks.nir_lif import table

    rows = {r.name: r for r in table(shared / "nir" / "upstream")}
    ours, platforms = rows["bimhw, profile exact"], [r for n, r in rows.items() if "bimhw" not in n and n != "exact"]
    assert ours.shift == 0 and ours.distance < 1e-7
    assert len(platforms) == 10 and all(r.distance > 1e-3 for r in platforms)
    assert rows["bimhw, profile euler"].distance == pytest.approx(rows["norse"].distance, rel=1e-4)


def test_snntorchs_default_reset_is_a_profile() -> None:
    """mem(t) = beta mem(t-1) + x(t) - theta [mem(t-1) > theta], as snnTorch's Leaky computes it by default."""
    one = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 0.8}
    nodes: Any = {"in": ("Input", {"shape": np.array([1])}), "n": ("LIF", {k: np.array([v]) for k, v in one.items()})}
    graph = build_graph({**nodes, "out": ("Output", {})}, [("in", "n"), ("n", "out")])
    xs = np.random.default_rng(0).uniform(0, 0.7, 40)
    run = run_graph(graph, choose(graph, "snntorch-subtract"), {"in": xs.reshape(-1, 1, 1)}, probes=["n"])
    mem = 0.0
    for t, x in enumerate(xs):
        mem = 0.9 * mem + x - 0.8 * (mem > 0.8)
        assert run.membranes["n"][t, 0, 0] == pytest.approx(mem, abs=1e-12)
        assert run.probes["n"][t, 0, 0] == (mem > 0.8)


def test_snntorchs_reset_without_delay_is_a_profile() -> None:
    """Its Leaky with reset_delay=False: lowered once more in the comparison while the membrane is still above theta."""
    one = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 0.8}
    nodes: Any = {"in": ("Input", {"shape": np.array([1])}), "n": ("LIF", {k: np.array([v]) for k, v in one.items()})}
    graph = build_graph({**nodes, "out": ("Output", {})}, [("in", "n"), ("n", "out")])
    xs = np.random.default_rng(0).uniform(0, 1.5, 60)
    run = run_graph(graph, choose(graph, "snntorch-subtract-now"), {"in": xs.reshape(-1, 1, 1)}, probes=["n"])
    mem, lowered_twice = 0.0, 0
    for t, x in enumerate(xs):
        reset = float(mem > 0.8)  # the steps of snntorch/_neurons/leaky.py, forward
        mem = 0.9 * mem + x - reset * 0.8
        spike = float(mem > 0.8)
        mem -= (spike - reset) * 0.8
        lowered_twice += reset > 0
        assert run.membranes["n"][t, 0, 0] == pytest.approx(mem, abs=1e-12)
        assert run.probes["n"][t, 0, 0] == spike
    assert lowered_twice > 5
    network = lower(graph, choose(graph, "snntorch-subtract-now"))
    sent = record(network, {"in": xs.reshape(1, -1, 1)}, xs.size + 1, [("n", "out")])["n", "out"]
    assert sent[0, 1:, 0].tolist() == run.probes["n"][:, 0, 0].tolist()


# ---- graphs: sums, delays, feedback


def test_several_edges_add_and_delays_are_exact() -> None:
    nodes: Any = {
        "in": ("Input", {"shape": np.array([2])}),
        "d": ("Delay", {"delay": np.array([3.0, 1.0])}),
        "s": ("Scale", {"scale": np.array([10.0, 10.0])}),
        "out": ("Output", {}),
    }
    graph = build_graph(nodes, [("in", "d"), ("in", "s"), ("d", "out"), ("s", "out")])
    x = np.random.default_rng(0).normal(size=(9, 2, 2))
    out = run_graph(graph, choose(graph, dt=1.0), {"in": x}).outputs["out"]
    late = np.zeros_like(x)
    late[3:, :, 0], late[1:, :, 1] = x[:-3, :, 0], x[:-1, :, 1]
    np.testing.assert_allclose(out, 10 * x + late, atol=1e-12)


@pytest.mark.parametrize("delay", [None, 1, 2])
def test_feedback_is_of_the_step_before_and_a_delay_of_k_is_exactly_k(delay: int | None) -> None:
    """y(t) = x(t) + w y(t - k), with an integrator that forgets nothing as the neuron: I with r = 1 sums its input."""
    nodes: Any = {"in": ("Input", {"shape": np.array([1])}), "n": ("I", {"r": np.array([1.0])}), "out": ("Output", {})}
    nodes["w"] = ("Linear", {"weight": np.array([[-0.5]])})
    edges = [("in", "n"), ("n", "w"), ("n", "out")]
    if delay is None:
        edges.append(("w", "n"))
    else:
        nodes["d"] = ("Delay", {"delay": np.array([float(delay)])})
        edges += [("w", "d"), ("d", "n")]
    graph = build_graph(nodes, edges)
    x = np.random.default_rng(2).normal(size=12)
    out = run_graph(graph, choose(graph, dt=1.0), {"in": x.reshape(-1, 1, 1)}).outputs["out"].reshape(-1)
    k, v, wanted = delay or 1, 0.0, []
    for t in range(12):
        v += x[t] + (-0.5 * wanted[t - k] if t >= k else 0.0)
        wanted.append(v)
    np.testing.assert_allclose(out, wanted, atol=1e-12)


def test_recurrent_bias_arrives_in_the_first_step() -> None:
    """The wait is on the edge that leaves the neuron, so a recurrent Affine adds its bias from step 0 on."""
    nodes: Any = {
        "in": ("Input", {"shape": np.array([1])}),
        "n": ("I", {"r": np.array([1.0])}),
        "w": ("Affine", {"weight": np.array([[0.0]]), "bias": np.array([1.0])}),
        "out": ("Output", {}),
    }
    graph = build_graph(nodes, [("in", "n"), ("n", "w"), ("w", "n"), ("n", "out")])
    out = run_graph(graph, choose(graph, dt=1.0), {"in": np.zeros((3, 1, 1))}).outputs["out"]
    assert out.reshape(-1).tolist() == [1.0, 2.0, 3.0]


def test_check_command_prints_differ_and_of(tmp_path: Path) -> None:
    import nir

    one = {k: np.array([v]) for k, v in {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 0.5}.items()}
    graph = nir.NIRGraph(
        nodes={"i": nir.Input(np.array([1])), "n": nir.LIF(**one), "o": nir.Output(np.array([1]))},
        edges=[("i", "n"), ("n", "o")],
    )
    nir.write(tmp_path / "m.nir", graph)
    x = np.ones((4, 2, 1), np.float32)
    np.savez(tmp_path / "m.npz", x=x, out=np.array([1, 1, 1, 0], np.float32).reshape(4, 1, 1).repeat(2, 1))
    (tmp_path / "p.json").write_text(json.dumps({"dt": 1e-4, "note": "x", "surprise": 1}))
    args = ["check", str(tmp_path / "m.nir"), "--data", str(tmp_path / "m.npz"), "--json"]
    result = CliRunner().invoke(command, [*args, "--profile", str(tmp_path / "p.json")], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert (found["differ"], found["of"]) == (2, 8)  # every step fires; the last two recorded zeros differ
    assert any("surprise" in n for n in found["notes"]) and not any("note" in n.split()[0] for n in found["notes"])
    assert found["decays"] == {"n": {"v": [pytest.approx(0.9), pytest.approx(0.9)]}}


def test_an_array_that_promises_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    import io
    import zipfile

    from simulator.base.errors import InputError
    from simulator.base.files import read_npz

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(16))
    with pytest.raises(InputError, match=r"bomb\.npz: x: promises 4,000,000,000,000 bytes and holds 16"):
        read_npz(tmp_path / "bomb.npz")


def test_a_graph_in_a_graph_in_a_graph_computes_what_the_flat_one_does() -> None:
    rng = np.random.default_rng(4)
    lif = {"tau": np.full(3, 3.0), "r": np.full(3, 3.0), "v_leak": np.zeros(3), "v_threshold": np.full(3, 0.7)}
    rec, late = rng.normal(size=(3, 3)), np.array([0.0, 1.0, 2.0])
    shape = {"shape": np.array([3])}
    ring: Any = {
        "input": ("Input", shape),
        "lif": ("LIF", lif),
        "w": ("Linear", {"weight": rec}),
        "output": ("Output", shape),
    }
    ring_edges = [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")]

    def as_tree(nodes: Any) -> Any:
        return {name: {"type": kind, **fields} for name, (kind, fields) in nodes.items()}

    inner = ("NIRGraph", {"nodes": as_tree(ring), "edges": [list(e) for e in ring_edges]})
    middle: Any = {
        "input": ("Input", shape),
        "d": ("Delay", {"delay": late}),
        "ring": inner,
        "output": ("Output", shape),
    }
    middle_edges = [("input", "d"), ("d", "ring"), ("ring", "output")]
    outer: Any = {
        "in": ("Input", shape),
        "sub": ("NIRGraph", {"nodes": as_tree(middle), "edges": [list(e) for e in middle_edges]}),
        "out": ("Output", shape),
    }
    nested = build_graph(outer, [("in", "sub"), ("sub", "out")])
    assert "sub.ring.lif" in nested.nodes
    plain: Any = {"in": ("Input", shape), "d": ("Delay", {"delay": late}), **{k: ring[k] for k in ("lif", "w")}}
    flat = build_graph(
        {**plain, "out": ("Output", shape)}, [("in", "d"), ("d", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out")]
    )
    x = (rng.random((30, 2, 3)) < 0.6).astype(float)
    runs = [run_graph(g, choose(g, "euler", 1.0), {"in": x}).outputs["out"] for g in (nested, flat)]
    assert runs[0].any()
    np.testing.assert_array_equal(runs[0], runs[1])
