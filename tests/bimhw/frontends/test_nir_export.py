"""What is written as .nir computes the same when it is read back, here and by the nir package; the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from bimhw.frontends import load_network
from bimhw.frontends.nir import choose, read_graph, run_graph
from bimhw.frontends.nir.export import export_nir, network_graph
from bimhw.frontends.stack import module_network
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.stack import IF, LI, LIF, CubaLIF, Neuron, Recurrent, Stack
from simulator.base.errors import FitError
from tests.bimhw.frontends.test_nir_lower import both
from tests.bimhw.frontends.test_torch_modules import stacks


def sayable(net: Stack) -> bool:
    neurons = [m for m in net.modules() if isinstance(m, Neuron)]
    cubas = [m for m in neurons if m.keep_u is not None]
    return all(not m.soft and not m.reached for m in neurons) and all(float(m.keep) < 1 for m in cubas)


@settings(deadline=None, max_examples=40)
@given(stacks())
def test_torch_stacks_go_out_exactly_or_are_refused(case: Any) -> None:
    import tempfile

    net, shape, seed = case
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.nir"
        if not sayable(net):
            with pytest.raises(FitError, match=r"node '.*' \(leaky.*NIR"):
                export_nir(net, path)
            assert not path.exists()
            return
        export_nir(net, path, dt=2.0**-10)
        nir.read(path, type_check=False)
        graph = read_graph(path)
    x = (np.random.default_rng(seed).random((10, 2, *shape)) < 0.4).astype(np.float64)
    out = run_graph(graph, choose(graph, "euler", 2.0**-10), {"input": x}).outputs["output"]
    with torch.no_grad():
        wanted = net.run(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(out.reshape(wanted.shape), wanted, atol=1e-9)


def test_a_network_goes_out_and_comes_back_with_its_delays() -> None:
    torch.manual_seed(1)
    net = Stack(
        nn.Linear(5, 6), Recurrent(CubaLIF(0.5, 0.75, 0.25), nn.Linear(6, 6)), nn.Linear(6, 3), LI(0.5)
    ).double()
    network = module_network(net)
    graph = network_graph(network, dt=1.0)
    assert {n.kind for n in graph.nodes.values()} == {"Input", "Output", "Affine", "Linear", "CubaLIF", "LI", "Delay"}
    x = (np.random.default_rng(0).random((15, 2, 5)) < 0.5).astype(np.float64)
    with torch.no_grad():
        wanted = net.run(torch.from_numpy(x)).numpy()
    out = run_graph(graph, choose(graph, dt=1.0), {"input": x}).outputs
    np.testing.assert_allclose(next(iter(out.values())), wanted, atol=1e-9)
    for name, ours, back in both(graph, choose(graph, dt=1.0), x):
        np.testing.assert_allclose(ours, back, atol=1e-9, err_msg=name)


def test_the_automatic_profile_reads_our_own_files(tmp_path: Path) -> None:
    net = Stack(nn.Linear(4, 3), LIF(keep=0.9), nn.Linear(3, 2), IF())
    export_nir(net, tmp_path / "a.nir")
    chosen = choose(read_graph(tmp_path / "a.nir"))
    assert chosen.default.dt == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Stack(nn.Linear(2, 2), LIF(reset="soft")), r"node '1' \(leaky\).*reset to a value"),
        (Stack(nn.Linear(2, 2), LIF(cmp=">=")), r"node '1' \(leaky\).*fires at its threshold"),
        (Stack(nn.Linear(2, 2), CubaLIF(0.5, 1.0)), r"node '1' \(leaky_cuba\).*for ever"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_node_name(net: Stack, message: str, tmp_path: Path) -> None:
    with pytest.raises(FitError, match=message):
        export_nir(net, tmp_path / "x.nir")
    assert list(tmp_path.iterdir()) == []


def test_selective_decay_and_learning_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    bim = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=2), 0)
    with pytest.raises(FitError, match=r"node 'layer1' \(bim_d.*selective"):
        export_nir(bim, tmp_path / "x.nir")
    network = load_network(Stack(nn.Linear(2, 2), LIF()))
    learning = replace(network, projections=(replace(network.projections[0], plastic="rtrl"),))
    with pytest.raises(FitError, match="learns by the rule 'rtrl'"):
        export_nir(learning, tmp_path / "x.nir")


def test_framework_files_survive_the_round(shared: Path, tmp_path: Path) -> None:
    folder = shared / "nir" / "generated"
    for name in ("snn_rec", "sinabs_conv", "norse_lif"):
        export_nir(folder / f"{name}.nir", tmp_path / f"{name}.nir")
        again, first = read_graph(tmp_path / f"{name}.nir"), read_graph(folder / f"{name}.nir")
        assert set(again.edges) == set(first.edges)
        for node in first.nodes.values():
            for key in ("weight", "tau", "tau_mem", "v_threshold", "r"):
                if key in node.fields:
                    np.testing.assert_array_equal(again.nodes[node.name].fields[key], node.fields[key])
