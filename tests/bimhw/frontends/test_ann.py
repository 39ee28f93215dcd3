"""ReLU networks as spiking neurons: rates approach activations, pools are exact, decisions stay."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits
from torch import nn

import bimhw
from bimhw.cli.commands.convert import command
from bimhw.costs.ann import ann_gpu_work, run_converted
from bimhw.frontends.ann.convert import ANSWER, convert
from bimhw.frontends.ann.work import ann_work
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from tests.bimhw.compiler.beside import compare


class Small(nn.Module):
    """A forward of its own with a skip, both pools and a norm."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm, self.first = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()
        self.pool, self.more, self.second = pool, nn.Conv2d(3, 3, 1), nn.ReLU()
        self.average, self.out = nn.AvgPool2d(2), nn.Linear(3, 4)
        nn.init.uniform_(self.norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(self.norm.weight, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.pool(self.first(self.norm(self.conv(x))))
        return self.out(self.average(self.second(self.more(a)) + a).flatten(1))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((2, 1), (2, 2)), nn.AvgPool2d(2)]
)
def test_the_mean_answer_approaches_the_relu_networks(pool: nn.Module) -> None:
    torch.manual_seed(1)
    module = Small(pool).eval()
    x = torch.rand(5, 1, 4, 4).mul(128).round() / 128  # whole payloads
    wanted = module(x).detach().numpy()
    errors = []
    for steps in (64, 512):
        done = convert(module, x, steps=steps, percentile=100)
        errors.append(np.abs(done.answers[:, -1] / steps - wanted).max() / np.abs(wanted).max())
    assert errors[1] < 0.02 and errors[1] < errors[0]


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)])
@pytest.mark.parametrize("threshold", [1e-9, 1 / 64])
def test_sigma_delta_gives_the_relu_networks_answer_in_one_step(pool: nn.Module, threshold: float) -> None:
    torch.manual_seed(1)
    module = Small(pool).eval()
    x = torch.rand(5, 1, 4, 4).mul(64).round() / 64  # whole payloads
    wanted = module(x).detach().numpy()
    done = convert(module, x, code="sigma-delta", percentile=100, threshold=threshold)
    assert done.steps == 1 and done.answers.shape == (5, 1, 4)
    error = np.abs(done.answers[:, -1] - wanted).max() / np.abs(wanted).max()
    assert error < (1e-6 if threshold < 1e-6 else 0.2)
    again = convert(module, x, code="sigma-delta", percentile=100, threshold=threshold, steps=3)
    np.testing.assert_allclose(again.answers[:, 2], done.answers[:, 0], atol=1e-12)  # nothing changes any more


def test_the_work_of_a_relu_network_is_counted() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5)).eval()
    work = ann_work(module, torch.rand(2, 2, 4, 4))
    assert work.macs == 3 * 16 * 2 * 9 + 48 * 5
    assert (work.inputs, work.outputs, work.parameters) == (32, 5, 54 + 48 * 5 + 5)
    assert (work.pointwise, work.activations, work.kernels) == (48, 48 + 48 + 5, 3)
    counts = ann_gpu_work(work, 4)
    assert counts.matmul_flops == 8 * work.macs and counts.least_bytes == 2 * (work.parameters + 4 * 37)


def test_digits_stay_within_a_point_in_spikes_and_on_the_chip() -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = (digits.images[order] / 16).astype(np.float32)[:, None], digits.target[order]
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1),
        nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    xt, yt = torch.tensor(x[:1297]), torch.tensor(y[:1297])
    for _ in range(5):
        for rows in torch.randperm(1297).split(64):
            loss = nn.functional.cross_entropy(net(xt[rows]), yt[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    done = convert(net, x[1297:1397], y[1297:1397], steps=32)
    assert done.ann_accuracy is not None and done.ann_accuracy > 0.9
    assert done.curve[32] >= done.ann_accuracy - 0.01
    chip = load_chip("loihi2")
    result = bimhw.compile(done.network, chip)
    sent = compare(result, done.payloads(x[1297:1347]), chip.topology).sent[ANSWER]
    on_chip = (sent[:, -1].argmax(axis=1) == y[1297:1347]).mean()
    assert on_chip >= (done.answers[:50, -1].argmax(axis=1) == y[1297:1347]).mean() - 0.02  # one of 50
    graded = convert(net, x[1297:], y[1297:], code="sigma-delta")
    assert graded.ann_accuracy is not None and graded.curve[1] >= graded.ann_accuracy - 0.005
    beside = run_converted(graded, graded.dataset(x[1297:], y[1297:]), chip, gpu=["h100"])
    assert beside.result.to_json()["accuracy"] >= graded.curve[1] - 0.01
    assert {r.side for r in beside.energy.rows()} == {"chip", "gpu"} and beside.energy.rows()[0].us is not None


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(4, 3)), "calls no ReLU"),
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sigmoid(), nn.Linear(3, 2)), r"layer '2' \(Sigmoid\)"),
        (nn.Sequential(*[nn.Linear(4, 4), nn.ReLU()], nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)), "layer_norm"),
    ],
)
def test_what_has_no_form_is_named(module: nn.Module, message: str) -> None:
    with pytest.raises(FitError, match=message):
        convert(module, torch.rand(3, 4), steps=4)


def test_labels_must_fit() -> None:
    with pytest.raises(InputError, match=r"labels.*2.*3 samples"):
        convert(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.rand(3, 4), [0, 1], steps=4)


def test_the_command_writes_a_program(tmp_path: Path) -> None:
    source = "import torch\nfrom torch import nn\ndef make():\n    torch.manual_seed(0)\n"
    source += "    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))\n"
    (tmp_path / "net.py").write_text(source)
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((8, 4)), y=np.arange(8) % 3)
    out = tmp_path / "net.bimhw"
    arguments = [
        f"{tmp_path / 'net.py'}:make",
        "--data",
        str(tmp_path / "d.npz"),
        "--steps",
        "16",
        "-o",
        str(out),
        "--json",
    ]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert any(line.startswith("LOSES") for line in figures["verdict"]) and figures["result"]["samples"] == 8
    assert figures["neurons"] == 9 and out.exists() and list(figures["curve"]) == ["1", "2", "4", "8", "16"]
    assert bimhw.Program.load(out).meta["input"]["scale"] == 2.0**-7
    for workers in ("1", "3"):
        again = CliRunner().invoke(command, [*arguments, "--workers", workers])
        assert again.stdout == done.stdout, "another number of workers says something else"


def test_thresholds_are_balanced_on_samples_of_their_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    x, y = np.random.default_rng(0).random((12, 4)), np.arange(12) % 3
    first = np.random.default_rng(1).random((9, 4)) / 2
    apart, alone = convert(net, x, y, calibration=first, steps=8), convert(net, first, steps=8)
    assert apart.thresholds == alone.thresholds != convert(net, x, y, steps=8).thresholds
    assert apart.ann_accuracy == (net(torch.tensor(x).float()).argmax(1).numpy() == y).mean()
    assert (apart.samples.calibration, apart.samples.judged, apart.samples.shared) == (9, 12, 0)
    assert apart.answers.shape == (12, 8, 3) and "none of them among the former" in apart.network.meta["notes"][-1]
    assert convert(net, x, y, calibration=x[:5], steps=8).samples.shared == 5
    assert "same 12 samples" in convert(net, x, y, steps=8).network.meta["notes"][-1]
    beside = run_converted(apart, apart.dataset(x, y), "loihi2")
    assert beside.compiled.report["calibration"].startswith("9 samples") and beside.result.samples == 12
    with pytest.raises(InputError, match=r"calibration data: are \[9, 3\], and a sample of the data is \[4\]"):
        convert(net, x, y, calibration=first[:, :3])
    made = "net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))"
    (tmp_path / "net.py").write_text(f"import torch\ntorch.manual_seed(0)\n{made}\n")
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.savez(tmp_path / "first.npz", x=first)
    given = [f"{tmp_path}/net.py:net", "--data", f"{tmp_path}/d.npz", "--calibrate", f"{tmp_path}/first.npz"]
    found = json.loads(CliRunner().invoke(command, [*given, "--steps", "8", "--json"]).stdout)
    assert found["thresholds"] == dict(apart.thresholds) and found["shared_samples"] == 0


@pytest.mark.parametrize(("code", "steps"), [("rate", None), ("sigma-delta", None), ("sigma-delta", 3)])
def test_the_saved_program_takes_the_data_that_it_was_made_from(code: str, steps: int | None, tmp_path: Path) -> None:
    """`bimhw simulate net.bimhw --data samples.npz` decides as the conversion did on the chip."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))
    x = np.random.default_rng(0).random((20, 6))
    found = bimhw.convert(net, bimhw.Dataset(x, np.arange(20) % 4), code=code, steps=steps)
    program = bimhw.compile(found.network, chip="loihi2", mapping="blocks").program
    program.save(tmp_path / "net.bimhw")
    np.savez(tmp_path / "samples.npz", x=x, y=np.arange(20) % 4)
    answers = []
    for name, data in (("a", found.dataset(x, np.arange(20) % 4)), ("b", tmp_path / "samples.npz")):
        run = bimhw.simulate(tmp_path / "net.bimhw", data=data, output=tmp_path / name, engine="none")
        with np.load(tmp_path / name / "outputs.npz") as out:
            answers.append((out["values"], run.result["accuracy"]))
    assert (answers[0][0] == answers[1][0]).all() and answers[0][0].shape[1] >= (steps or found.steps)
    assert answers[0][1] == answers[1][1]


class Block(nn.Module):
    """A residual block as torchvision writes it: one ReLU in two places, in place; `how` says how the ReLU is called."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.down = nn.Sequential(nn.Conv2d(2, 4, 1, 2, bias=False), nn.BatchNorm2d(4))
        self.relu, self.pool, self.drop = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Dropout()
        self.fc, self.how = nn.Linear(4, 3), how

    def act(self, x: torch.Tensor) -> torch.Tensor:
        calls = {
            "module": self.relu, "F.relu": nn.functional.relu, "torch.relu": torch.relu, "relu_": torch.Tensor.relu_,
            "in place": lambda y: nn.functional.relu(y, inplace=True), "clamp": lambda y: y.clamp(min=0),
        }  # fmt: skip
        return calls[self.how](x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        out += self.down(x)
        return self.fc(self.drop(torch.flatten(self.pool(self.act(out)), 1)))


@pytest.mark.parametrize("how", ["module", "F.relu", "torch.relu", "relu_", "in place", "clamp"])
def test_a_relu_in_several_places_or_as_a_function_is_read(how: str) -> None:
    torch.manual_seed(3)
    module, x = Block(how).eval(), torch.rand(4, 2, 6, 6).mul(64).round() / 64
    wanted, before = module(x.clone()).detach().numpy(), x.clone()
    done = convert(module, x, code="sigma-delta", percentile=100, threshold=1e-9)
    np.testing.assert_allclose(done.answers[:, -1], wanted, atol=1e-6 * np.abs(wanted).max())
    assert len(done.thresholds) == 2 and torch.equal(x, before)
    named = ["relu", "relu.2"]
    assert sorted(done.thresholds) == named and done.work.pointwise == convert(Block("module").eval(), x).work.pointwise


def test_other_activations_are_named() -> None:
    x = torch.rand(2, 1, 2, 2)
    with pytest.raises(FitError, match=r"calls no ReLU \(its activations: GELU\)"):
        convert(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.GELU()), x)
    two = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(FitError, match=r"layer '2' \(GELU\): is no sum of straight pieces.*LeakyReLU"):
        convert(two, x)
    last = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(1))
    with pytest.raises(FitError, match=r"layer '4' \(Softmax\).*Leave it out"):
        convert(last, x)


def exact(module: nn.Module, x: torch.Tensor) -> None:
    """Check that sigma-delta neurons with the least threshold answer as the module does, and rates approach it."""
    wanted, top = module.eval()(x.clone()).detach().numpy(), {"percentile": 100.0}
    done = convert(module, x, code="sigma-delta", threshold=1e-9, **top)
    np.testing.assert_allclose(done.answers[:, -1], wanted, atol=1e-6 * np.abs(wanted).max())
    mean = convert(module, x, steps=128, **top).answers[:, -1] / 128
    assert np.abs(mean - wanted).max() < 0.06 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "act",
    [
        nn.ReLU6(), nn.ReLU6(inplace=True), nn.Hardtanh(-0.3, 0.4), nn.Hardtanh(0, 0.2), nn.LeakyReLU(0.2),
        nn.LeakyReLU(0.1, inplace=True), nn.PReLU(3, 0.3), nn.PReLU(), nn.Hardsigmoid(),
    ],
)  # fmt: skip
def test_activations_of_straight_pieces_are_sums_of_relus(act: nn.Module) -> None:
    torch.manual_seed(2)
    x = torch.rand(4, 1, 5, 5).mul(128).round() / 64 - 1
    pool = nn.MaxPool2d(2, 2, 1)  # padded beside values that may be negative
    exact(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), act, pool, nn.Flatten(), nn.Linear(27, 3)), x)


def test_functions_of_straight_pieces_are_read_where_they_are_called() -> None:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            z = nn.functional.leaky_relu(y, 0.3, inplace=True)  # y itself, too
            y = y + z.clamp(-0.25, 0.5) + nn.functional.relu6(4 * z) + z.clamp(max=0.125) + z.clamp(min=-0.5)
            return self.b(nn.functional.hardtanh(y))

    torch.manual_seed(0)
    exact(Called(), torch.rand(6, 6).mul(128).round() / 64 - 1)


@pytest.mark.parametrize(
    "pool",
    [
        nn.AdaptiveMaxPool2d(2), nn.AdaptiveMaxPool2d(3), nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(2, dilation=2),
        nn.Sequential(nn.Flatten(2), nn.MaxPool1d(3)), nn.Sequential(nn.Flatten(2), nn.AdaptiveMaxPool1d(4)),
    ],
)  # fmt: skip
def test_every_maximum_pool_is_read(pool: nn.Module) -> None:
    torch.manual_seed(2)
    x = torch.rand(3, 1, 5, 5).mul(64).round() / 64
    exact(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.LazyLinear(3)), x)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)])
def test_a_pool_before_the_relu_is_read(pool: nn.Module) -> None:
    torch.manual_seed(2)
    x = torch.rand(3, 1, 6, 6).mul(64).round() / 64
    two = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
    exact(
        nn.Sequential(
            two[0], pool, nn.ReLU(), two[1], nn.BatchNorm2d(2), pool, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
        ),
        x,
    )
