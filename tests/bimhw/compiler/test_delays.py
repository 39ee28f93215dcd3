"""Programs with learnt delays: a projection for each delay, the same integers on every engine, what learns on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
from bimhw.models.io import load_arrays, save_model
from bimhw.runs.learn import learn
from bimhw.runs.simulate import simulate
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from simulator.base.errors import FitError, InputError
from simulator.program.program import Program


def late_net(**fields: object) -> BimNet:
    shape = {"n_in": 8, "hidden": (12, 7), "n_out": 10, "input_scale": 1 / 16, "hidden_delays": 5, "channel_delays": 2}
    net = BimNet(BimConfig(**(shape | fields)), 1)  # type: ignore[arg-type]
    with torch.no_grad():
        net.readout.weight.normal_(generator=torch.Generator().manual_seed(1))
    return net


@pytest.fixture(scope="module")
def few() -> Task:
    return few_digits()


def few_digits() -> Task:
    task = load_task("digits")
    return replace(task, train=task.train.take(slice(0, 96)), test=task.test.take(slice(0, 40)))


@pytest.fixture(scope="module")
def compiled() -> CompileResult:
    return compile(late_net(), "loihi2", task="digits", mapping="blocks")


def test_each_delay_in_use_is_a_projection_and_no_synapse_is_lost() -> None:
    net = late_net()
    axons = net.layer(1).axons
    assert axons is not None
    network = load_network(net)
    into = [q for q in network.projections if q.target == "layer2"]
    assert {(q.port, q.delay) for q in into} == {(p, n) for p in "zdc" for n in axons.steps.tolist()}
    for port in "zdc":
        assert sum(q.n_synapses for q in into if q.port == port) == 12 * 7
    for q in into:
        assert (np.flatnonzero(np.diff(q.indptr)) == np.flatnonzero(axons.steps.numpy() == q.delay)).all()
    assert [p.layer for p in network.populations] == [0, 1, 2, 3]  # a delay is the model's own: no layer is later


def test_host_and_front_end_round_shares_alike(tmp_path: Path) -> None:
    """Among shares next to a half, in both precisions; the file is read without torch."""
    halves = np.float32(np.arange(1, 26, 2) / 26)  # 13 p = n + 1/2 to rounding
    near = np.stack([np.nextafter(halves, np.float32(0)), halves, np.nextafter(halves, np.float32(1))]).reshape(-1)
    net = late_net(hidden=(39, 7), hidden_delays=13)
    with torch.no_grad():
        net.layer(1).get_parameter("delay").copy_(torch.from_numpy(near))
    for model in (net, net.double()):
        axons = model.layer(1).axons
        assert axons is not None
        found = np.full(39, -1)
        for q in load_network(model).projections:
            if q.target == "layer2" and q.port == "z":
                found[np.diff(q.indptr) > 0] = q.delay
        assert found.tolist() == axons.steps.tolist()
    _, arrays = load_arrays(save_model(late_net(), tmp_path / "m.safetensors"))
    assert arrays["layers.1.delay"].shape == (12,)


def engines_agree(program: Program, folder: Path) -> None:
    runs = [
        simulate(program, samples=2, task="digits", engine=e, output=folder / e)
        for e in ("compiled", "simpy", "clocked", "events")
    ]
    files = ("spikes.npz", "activity.npz", "timing.npz")
    first = [(runs[0].folder / f).read_bytes() for f in files]
    for run in runs[1:]:
        assert [(run.folder / f).read_bytes() for f in files] == first


def test_engines_agree(compiled: CompileResult, tmp_path: Path) -> None:
    engines_agree(compiled.program, tmp_path)


@pytest.mark.parametrize("against", ["torch", "brian2"])
def test_other_simulators_compute_the_same_network(against: str, tmp_path: Path) -> None:
    pytest.importorskip(against)
    for kind in ({}, {"kind": "s6", "n_states": 2}):
        model = save_model(late_net(**kind), tmp_path / "m.safetensors")
        (result,) = cross_check(model, against=against, steps=20, rate=0.3)
        assert result.equal, result


def test_gradients_do_not_learn_on_the_chip_but_the_readout_does(compiled: CompileResult, few: Task) -> None:
    with pytest.raises(FitError, match=r"rule 'rtrl' on the chip: does not know layers .* learnt delays"):
        learn(compiled.program, few, epochs=1)
    done = learn(compiled.program, replace(few, train=few.train.take(slice(0, 4))), epochs=1, rule="frozen")
    before = [q.delay for q in compiled.program.projections]
    assert [q.delay for q in done.program.projections] == before
    after, trained = model_of(done.program), late_net()  # a program made ready to learn holds absent synapses as 0
    for i in range(2):
        a, b = after.layer(i).axons, trained.layer(i).axons
        assert a is not None and b is not None and torch.equal(a.steps, b.steps)


@pytest.mark.parametrize("kind", [{}, {"kind": "s6", "n_states": 2}, {"input_delays": (1,)}], ids=str)
def test_a_program_is_read_back_with_its_delays(kind: dict[str, object]) -> None:
    net = late_net(**kind)
    mask = torch.rand(7, 12, generator=torch.Generator().manual_seed(0)) < 0.7
    net.add_mask("layers.1.mask_in", mask)
    program = compile(net, "loihi2", task="digits", mapping="blocks", per_row=True).program
    config, arrays = read_back(program)
    assert config == net.config
    again = model_of(program)
    for i in range(2):
        a, b = again.layer(i).axons, net.layer(i).axons
        assert a is not None and b is not None and torch.equal(a.steps, b.steps)
    assert torch.equal(again.layer(1).get_buffer("mask_in"), mask)
    for name in ("layers.0.w_in", "layers.1.w_in", "layers.1.w_delta", "layers.1.w_c"):
        wanted = net.get_parameter(name).detach() * (mask if name == "layers.1.w_in" else 1)
        np.testing.assert_allclose(arrays[name], wanted.numpy(), atol=0.03)


def test_delays_behind_several_taps_are_not_read_back() -> None:
    program = compile(
        late_net(input_delays=(0, 5)), "loihi2", calibration=np.ones((2, 16, 8), np.int32), mapping="blocks"
    ).program
    with pytest.raises(InputError, match="behind several taps"):
        read_back(program)


def test_taps_that_meet_a_learnt_delay_are_told_apart() -> None:
    """A tap of 2 with delay 0 and one of 0 with delay 2 share source, port and delay: two projections."""
    net = late_net(input_delays=(0, 2))
    result = compile(net, "loihi2", calibration=np.ones((2, 16, 8), np.int32), mapping="blocks")
    meet = [q for q in result.program.projections if (q.target, q.port, q.delay) == ("layer1", "z", 2)]
    assert len(meet) == 2
    from simulator.plasticity.layers.net import learning_net

    with pytest.raises(FitError, match="twice at the port"):
        learning_net(result.program)


def test_finetuning_keeps_the_delays_and_stores_what_it_trained(few: Task) -> None:
    net = late_net()
    tuned = finetune(net, few, epochs=1).model
    for i in range(2):
        assert torch.equal(tuned.layer(i).get_parameter("delay"), net.layer(i).get_parameter("delay"))
        assert tuned.layer(i).get_parameter("delay").requires_grad
    assert not torch.equal(tuned.layer(1).w_in, net.layer(1).w_in)
    result = compile(tuned, "loihi2", task="digits", mapping="blocks")
    assert max(q["relative_rms_weight_error"] for q in result.report["projections"]) < 1e-6
