"""Compiled loops take denormal numbers as 0, and leave the thread as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from bimhw.models.bim.loops import call_kernel

TINY = np.finfo(np.float32).tiny


@pytest.fixture
def flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


def halves() -> float:
    return float(np.multiply(np.array([TINY]), np.float32(0.5))[0])


def test_denormals_are_zero_within_and_numbers_after() -> None:
    seen: list[float] = []
    call_kernel(lambda: seen.append(halves()))
    assert seen == [0.0] and halves() > 0


def test_a_kernel_that_fails_leaves_them_too() -> None:
    def fails() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        call_kernel(fails)
    assert halves() > 0


def test_a_thread_that_flushes_goes_on_to(flushed: None) -> None:
    call_kernel(lambda: None)
    assert halves() == 0
