"""Programs of residual stacks: the same weights behind every source, the same integers everywhere, what learns on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bimhw.compiler.pipeline import CompileResult, compile
from bimhw.compiler.readback import model_of, read_back
from bimhw.evidence.crosscheck.check import cross_check
from bimhw.frontends import load_network
from bimhw.learning.finetune import finetune
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from bimhw.runs.learn import learn
from bimhw.tasks.base import Task
from simulator.base.errors import FitError, InputError
from tests.bimhw.compiler.test_delays import engines_agree, few_digits

KINDS: list[dict[str, Any]] = [{}, {"kind": "s6", "n_states": 2}, {"hidden_delays": 3}]


def stack(**fields: object) -> BimNet:
    shape = {"n_in": 8, "hidden": (9, 9, 9, 7), "n_out": 10, "input_scale": 1 / 16, "theta": 0.2, "residual": True}
    net = BimNet(BimConfig(**(shape | fields)), 1)  # type: ignore[arg-type]
    with torch.no_grad():
        net.readout.weight.normal_(generator=torch.Generator().manual_seed(1))
    return net


@pytest.fixture(scope="module")
def few() -> Task:
    return few_digits()


@pytest.fixture(scope="module")
def compiled() -> CompileResult:
    return compile(stack(), "loihi2", task="digits", mapping="blocks")


@pytest.mark.parametrize(("kind", "late"), [("diag", 1), ("s6", 2)])
def test_a_layer_reads_all_layers_below_it_in_the_same_step_of_the_model(kind: str, late: int) -> None:
    network = load_network(stack(kind=kind))
    for layer in (2, 3, 4):
        into = [q for q in network.projections if (q.target, q.port) == (f"layer{layer}", "z")]
        delays = {q.source: q.delay for q in into}
        assert delays == {f"layer{k}": late * (layer - k) - 1 for k in range(1, layer)}
        assert len({q.weights.tobytes() for q in into}) == 1


def test_integers_of_all_sources_are_the_same(compiled: CompileResult) -> None:
    for layer in (3, 4):
        for port in "zdc":
            into = [q for q in compiled.program.projections if (q.target, q.port) == (f"layer{layer}", port)]
            assert len(into) == layer - 1
            assert len({(q.weights.tobytes(), q.indices.tobytes()) for q in into}) == 1


def test_engines_agree(compiled: CompileResult, tmp_path: Path) -> None:
    engines_agree(compiled.program, tmp_path)


@pytest.mark.parametrize("against", ["torch", "brian2"])
def test_other_simulators_compute_the_same_network(against: str, tmp_path: Path) -> None:
    pytest.importorskip(against)
    for kind in KINDS:
        model = save_model(stack(**kind), tmp_path / "m.safetensors")
        (result,) = cross_check(model, against=against, steps=20, rate=0.3)
        assert result.equal, result


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_program_is_read_back_as_one_matrix_a_port(kind: dict[str, Any]) -> None:
    net = stack(**kind)
    mask = torch.rand(9, 9, generator=torch.Generator().manual_seed(0)) < 0.2
    net.add_mask("layers.2.mask_in", mask)
    program = compile(net, "loihi2", task="digits", mapping="blocks", per_row=True).program
    config, arrays = read_back(program)
    assert config == net.config
    assert torch.equal(model_of(program).layer(2).get_buffer("mask_in"), mask)
    for name in ("layers.0.w_in", "layers.2.w_in", "layers.3.w_delta", "layers.3.w_c"):
        wanted = net.get_parameter(name).detach() * (mask if name == "layers.2.w_in" else 1)
        np.testing.assert_allclose(arrays[name], wanted.numpy(), atol=0.03)


def test_sources_that_learnt_apart_have_no_model(compiled: CompileResult) -> None:
    projections = list(compiled.program.projections)
    at = next(k for k, q in enumerate(projections) if (q.source, q.target, q.port) == ("layer1", "layer3", "z"))
    projections[at] = replace(projections[at], weights=projections[at].weights[::-1].copy())
    with pytest.raises(InputError, match=r"'layer3': its synapses from 'layer2' and 'layer1' differ, .* one matrix"):
        read_back(replace(compiled.program, projections=tuple(projections)))


def test_gradients_do_not_learn_on_the_chip_but_the_readout_does(compiled: CompileResult, few: Task) -> None:
    with pytest.raises(FitError, match=r"rule 'rtrl' on the chip: does not know residual stacks"):
        learn(compiled.program, few, epochs=1)
    done = learn(compiled.program, replace(few, train=few.train.take(slice(0, 4))), epochs=1, rule="frozen")
    after = model_of(done.program)
    assert after.config == stack().config
    assert not np.array_equal(
        read_back(done.program)[1]["readout.weight"], read_back(compiled.program)[1]["readout.weight"]
    )


def test_finetuning_stores_what_it_trained(few: Task) -> None:
    net = stack()
    tuned = finetune(net, few, epochs=1).model
    assert tuned.config == net.config and not torch.equal(tuned.layer(2).w_in, net.layer(2).w_in)
    result = compile(tuned, "loihi2", task="digits", mapping="blocks")
    assert max(q["relative_rms_weight_error"] for q in result.report["projections"]) < 1e-6
