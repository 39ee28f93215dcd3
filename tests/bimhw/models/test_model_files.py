"""Model files: what is written comes back; anything else is refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bimhw.models.bim.config import BimConfig, config_from, parameter_shapes
from bimhw.models.bim.net import BimNet
from bimhw.models.io import load_arrays, load_model, save_model
from bimhw.models.registry import config_to_json
from simulator.base.errors import InputError


def small(**changes: object) -> BimNet:
    return BimNet(BimConfig(**{"n_in": 4, "hidden": (5, 3), "n_out": 2, "input_delays": (0, 2), **changes}), seed=3)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kind", ["diag", "s6"])
def test_round_trip(tmp_path: Path, suffix: str, kind: str) -> None:
    net = small(kind=kind, n_states=1 if kind == "diag" else 3)
    net.add_mask("layers.0.mask_in", torch.rand(5, 8) > 0.5)
    save_model(net, tmp_path / f"m{suffix}")
    back = load_model(tmp_path / f"m{suffix}")
    assert back.config == net.config
    x = torch.rand(6, 2, 4)
    assert torch.equal(back(x), net(x))
    config, arrays = load_arrays(tmp_path / f"m{suffix}")
    assert set(parameter_shapes(config)) | {"layers.0.mask_in"} == set(arrays)
    assert list(tmp_path.iterdir()) == [tmp_path / f"m{suffix}"]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_beyond_memory_is_refused_unread(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(small(), tmp_path / f"m{suffix}")
    monkeypatch.setattr("simulator.base.host_memory.available_bytes", lambda: 1000)
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("was read"))
    monkeypatch.setattr("safetensors.safe_open", lambda *_, **__: pytest.fail("was read"))
    with pytest.raises(InputError, match=r"needs 0 MB for its .*, and 0 MB are available\. Use a machine with more"):
        load_model(tmp_path / f"m{suffix}")


def test_safetensors_needs_no_torch(tmp_path: Path) -> None:
    save_model(small(), tmp_path / "m.safetensors")
    code = "import sys; from bimhw.models.io import load_arrays; load_arrays(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.safetensors")], check=True)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_model(small(), tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_arrays(path)
    return str(caught.value)


def test_missing_file_and_suffix(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.pt")
    assert "suffix" in refused(tmp_path / "model.onnx")


def test_pickled_module_is_not_run(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    assert "pickled object" in refused(tmp_path / "m.pt")


def test_text_and_truncated_files(tmp_path: Path) -> None:
    for suffix in (".pt", ".safetensors"):
        (tmp_path / f"t{suffix}").write_text("hello, this is no model")
        assert f"t{suffix}" in refused(tmp_path / f"t{suffix}")
        whole = save_model(small(), tmp_path / f"w{suffix}")
        whole.write_bytes(whole.read_bytes()[:-300])
        assert f"w{suffix}" in refused(whole)


@pytest.mark.filterwarnings("ignore::simulator.base.errors.UncheckedWarning")
def test_checkpoint_of_something_else(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "m.pt")
    assert "something else" in refused(tmp_path / "m.pt")
    torch.save(
        {"state_dict": torch.nn.Linear(2, 2).state_dict(), "config": config_to_json(small().config)}, tmp_path / "m.pt"
    )
    assert "lacks" in refused(tmp_path / "m.pt")
    assert "unknown weight" in refused(tmp_path / "m.pt") or "has unknown" in refused(tmp_path / "m.pt")


@pytest.mark.filterwarnings("ignore::simulator.base.errors.UncheckedWarning")
def test_shape_and_nan_are_named(tmp_path: Path) -> None:
    net = small()
    with torch.no_grad():
        net.layer(0).get_parameter("w_in")[2, 1] = float("nan")
    save_model(net, tmp_path / "m.pt")
    message = refused(tmp_path / "m.pt")
    assert "layers.0.w_in" in message
    assert "(2, 1)" in message
    state = small().state_dict() | {"layers.1.b_in": torch.zeros(9)}
    torch.save({"state_dict": state, "config": config_to_json(net.config)}, tmp_path / "m.pt")
    assert "layers.1.b_in: has shape (9,)" in refused(tmp_path / "m.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch, of its own old tensors
def test_tensors_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    plain = small().state_dict()["layers.0.w_in"]
    odd = {
        "sparse": plain.to_sparse(),
        "without data": torch.zeros(plain.shape, device="meta"),
        "quantised": torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
    }
    for name, tensor in odd.items():
        state = small().state_dict() | {"layers.0.w_in": tensor}
        torch.save({"state_dict": state, "config": config_to_json(small().config)}, tmp_path / "m.pt")
        assert "layers.0.w_in: is no plain tensor" in refused(tmp_path / "m.pt"), name


@pytest.mark.filterwarnings("ignore::simulator.base.errors.UncheckedWarning")
def test_a_config_of_deep_nests_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": small().state_dict(), "config": "[" * 100_000}, tmp_path / "m.pt")
    assert "m.pt: config" in refused(tmp_path / "m.pt")


def test_config_errors_hold_the_path() -> None:
    with pytest.raises(InputError, match="thta"):
        config_from({"n_in": 1, "hidden": [2], "n_out": 2, "thta": 1.0}, "x.pt")
    with pytest.raises(InputError, match=r"tau_m.*positive"):
        config_from('{"n_in": 1, "hidden": [2], "n_out": 2, "tau_m": -1}', "x.pt")
    with pytest.raises(InputError, match=r"hidden"):
        config_from('{"n_in": 1, "hidden": ["a"], "n_out": 2}', "x.pt")


def test_step_equals_run_with_taps() -> None:
    net = small(refractory=1, dense_readout=True)
    with torch.no_grad():
        net.readout.weight.normal_()
        x = torch.rand(9, 3, 4)
        run = net.run(x)
        state = net.initial_state(3)
        for t in range(9):
            logits, state, _ = net.step(x[t], state)
            np.testing.assert_allclose(logits, run.logits[t], atol=1e-6)
        first = net.run(x[:4])
        second = net.run(x[4:], first.state)
    np.testing.assert_allclose(torch.cat([first.logits, second.logits]), run.logits, atol=1e-6)


@pytest.mark.parametrize("shapes", ["a word", 7, {"beta": "x"}, {"nothing": [3]}, None])
def test_a_stack_whose_layers_make_no_sense_is_one_message(shapes: object) -> None:
    from bimhw.models.stack_config import LayerSpec, StackConfig
    from bimhw.models.stack_files import build_stack

    options = {"shapes": shapes, "reset": "soft", "cmp": ">=", "v_reset": 0.0, "width": 1.0}
    config = StackConfig(layers=(LayerSpec("LIF", options),))
    with pytest.raises(InputError, match="is not a stack of layers"):
        build_stack(config, {}, "m.safetensors")
