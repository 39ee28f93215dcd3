"""Labels in the forms that data files hold, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw.runs.outputs import judged
from bimhw.tasks.dataset import Dataset
from bimhw.tasks.labels import as_labels
from simulator.base.errors import InputError

RIGHT = np.array([2, 0, 1, 2])
FORMS: dict[str, Any] = {
    "uint64": RIGHT.astype(np.uint64), "float": RIGHT.astype(np.float32), "column": RIGHT[:, None],
    "one-hot": np.eye(3, dtype=np.int64)[RIGHT], "bool one-hot": np.eye(3)[RIGHT] > 0,
    "names": np.array(["c", "a", "b", "c"]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_every_form_are_judged_as_classes(form: str) -> None:
    scores = np.eye(3)[[2, 0, 1, 0]]  # three of four are right
    found = judged(FORMS[form], scores, "y")
    assert found["accuracy"] == 0.75 and np.trace(found["confusion"]) == 3


@pytest.mark.parametrize(("y", "bad"), [([0, -1], "-1"), ([0, 3], "3"), ([0, 10**9], "1000000000")])
def test_a_label_that_no_output_has_is_refused(y: list[int], bad: str) -> None:
    with pytest.raises(InputError, match=rf"has the label {bad}, and the outputs are 0\.\.2"):
        judged(np.array(y), np.zeros((2, 3)), "y")


def test_real_targets_stay_targets() -> None:
    assert as_labels(np.array([[0.5, 0.5], [1.0, 0.0]]), "y", 2) is None
    assert as_labels(np.array([0.25, 1.5]), "y", 3) is None
    assert as_labels(np.array([0, 1]), "y", 1) is None  # one output answers with a value
    assert judged(np.array([0, 1]), np.array([[0.0], [1.0]]), "y")["rms_error"] == 0


@pytest.mark.parametrize("fields", [{"y": np.array([0.0, np.nan])}, {"out": np.full((2, 3, 1), np.inf)}])
def test_targets_and_outputs_are_finite(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"(y|out): has values that are not finite"):
        Dataset(np.zeros((2, 3, 4)), **fields)


def test_samples_without_steps_are_refused() -> None:
    with pytest.raises(InputError, match="no steps"):
        Dataset(np.zeros((2, 0, 4)), layout="bt").samples(4)


def test_hdf5_holds_plain_arrays_too_and_spikes_need_no_labels(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    x, y = np.arange(24).reshape(2, 3, 4), np.array([1, 0])
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"], file["y"], file["out.a"] = x, y, x[..., :2]
    data = Dataset.open(tmp_path / "plain.h5")
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    assert list(data.recorded) == ["a"]
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/times"], file["spikes/units"] = np.array([[0.0, 0.02]]), np.array([[0, 3]])
    found = Dataset.open(tmp_path / "spikes.h5", size=4)
    assert found.y is None and found.x[0, :, [0, 3]].sum() == 2


def test_a_wide_output_is_judged_without_its_square() -> None:
    """131,072 outputs (a convolution 64 -> 512 on 16 x 16) would ask 128 GiB for their confusion."""
    scores = np.zeros((2, 131_072))
    scores[0, 7] = scores[1, 100_000] = 1.0
    assert judged(np.array([7, 1]), scores, "y") == {"accuracy": 0.5}
