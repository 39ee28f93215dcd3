"""NeuroBench's metrics against the package itself: values that it printed, and, where it is installed, a run of it now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import beside_neurobench
from bimhw.runs.membrane import membrane_of
from bimhw.views.neurobench import neurobench
from simulator.neurons import base

# printed by `python -m benchmarks.beside_neurobench` with neurobench 2.3.0, snntorch 1.0.0 and torch 2.13.0
PRINTED: dict[str, dict[str, Any]] = {
    "spikes": {
        "ParameterCount": 160,
        "ConnectionSparsity": 0.4125,
        "ActivationSparsity": 0.7928571428571428,
        "ActivationSparsityByLayer": {"1": 0.77625, "3": 0.834375},
        "SynapticOperations": {"Effective_MACs": 0.0, "Effective_ACs": 364.2, "Dense": 2560.0},
        "MembraneUpdates": 162.4,
        "NeuronOperations": {"Effective Neuron Ops": 649.6, "Neuron Dense Ops": 896.0},
    },
    "whole numbers": {
        "ParameterCount": 160,
        "ConnectionSparsity": 0.4125,
        "ActivationSparsity": 0.6964285714285714,
        "ActivationSparsityByLayer": {"1": 0.67, "3": 0.7625},
        "SynapticOperations": {"Effective_MACs": 280.2, "Effective_ACs": 123.8, "Dense": 2560.0},
        "MembraneUpdates": 157.2,
        "NeuronOperations": {"Effective Neuron Ops": 628.8, "Neuron Dense Ops": 896.0},
    },
}


def check(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Equal where the definitions are; the operations of an update have another price, so their ratio is compared."""
    for key in ("ParameterCount", "ConnectionSparsity", "MembraneUpdates", "SynapticOperations"):
        assert ours[key] == pytest.approx(theirs[key], rel=1e-12), key
    assert ours["ActivationSparsity"] == pytest.approx(theirs["ActivationSparsity"], rel=1e-12)
    layers = list(ours["ActivationSparsityByLayer"].values())
    assert layers == pytest.approx(list(theirs["ActivationSparsityByLayer"].values()), rel=1e-12)
    ratios = [
        v["Effective Neuron Ops"] / v["Neuron Dense Ops"]
        for v in (ours["NeuronOperations"], theirs["NeuronOperations"])
    ]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-12)


@pytest.mark.parametrize("case", list(PRINTED))
def test_equal_to_what_the_package_printed(case: str, tmp_path: Path) -> None:
    check(beside_neurobench.ours(beside_neurobench.make(case), tmp_path / "run"), PRINTED[case])


@pytest.mark.long
def test_equal_to_the_package_now(tmp_path: Path) -> None:
    for name in ("neurobench", "snntorch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install --no-deps neurobench snntorch, with their requirements")
    for case in PRINTED:
        net = beside_neurobench.make(case)
        check(beside_neurobench.ours(net, tmp_path / case), beside_neurobench.theirs(net, sys.executable))


def test_footprint_is_what_the_chip_stores(tmp_path: Path) -> None:
    net = beside_neurobench.make("spikes")
    stored = sum(int((np.array(w) != 0).sum()) for w in net["weights"])
    words = 14 * 4  # one potential of 32 bits a neuron
    assert beside_neurobench.ours(net, tmp_path / "run")["Footprint"] == stored + words


def test_changed_weights_leave_membranes_unknown(tmp_path: Path) -> None:
    """A run whose recorded spikes are not those of its program (learning changed the weights on the way)."""
    from bimhw.runs.folder import RunFolder, seal
    from simulator.base.files import write_npz

    beside_neurobench.ours(beside_neurobench.make("spikes"), tmp_path / "run")
    spikes = RunFolder.open(tmp_path / "run").spikes()
    step = np.repeat(np.arange(spikes.steps), spikes.counts())
    ids = np.where(
        (spikes.ids >= 12) & (spikes.ids < 22), 33 - spikes.ids, spikes.ids
    )  # of layer 1, each of another neuron
    arrays = {"ptr": spikes.ptr, "ids": ids[np.lexsort((ids, step))].astype(np.int32), "payload": np.zeros(0, np.int32)}
    manifest = RunFolder.open(tmp_path / "run").manifest
    write_npz(tmp_path / "run" / "spikes.npz", arrays)
    seal(tmp_path / "run", manifest)
    value = neurobench(tmp_path / "run")
    assert value["MembraneUpdates"] is None and value["NeuronOperations"]["Effective Neuron Ops"] is None


def test_every_model_with_states_has_a_membrane() -> None:
    for name in (
        "if",
        "lif",
        "li",
        "leaky",
        "leaky_cuba",
        "loihi_cuba",
        "izhikevich",
        "readout_li",
        "bim_d_alpha",
        "spike_sampler",
        "input",
    ):
        model = base.get(name)
        assert (membrane_of(name) is not None) == bool(model.states), name
