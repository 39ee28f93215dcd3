"""The digits are scikit-learn's, whether read from its file or through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bimhw.tasks.sources import digits


@pytest.mark.parametrize("found", [True, False])
def test_images_and_labels_are_those_of_scikit_learn(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = load_digits()
    if not found:
        monkeypatch.setattr(digits, "find_spec", lambda name: None)
        monkeypatch.chdir(Path("/"))
    images, labels = digits._images()
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(images, theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)
