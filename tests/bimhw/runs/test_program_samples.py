"""Data given to a program come in as the program was compiled: code, scale and word; what does not fit is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bimhw
from bimhw.compiler.decode import program_samples
from bimhw.models.stack import LIF, Stack
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from simulator.program.program import Program

B, T, N = 6, 10, 4
RNG = np.random.default_rng(0)
REAL = (RNG.integers(-100, 100, (B, T, N)) / 64).astype(np.float32)
SPIKES = (RNG.random((B, T, N)) < 0.4).astype(np.float32)
STILL = (RNG.integers(0, 9, (B, N)) / 8).astype(np.float32)
STILL[0, 0] = 1


def _program(x: Any, **how: Any) -> Program:
    torch.manual_seed(0)
    net = Stack(torch.nn.Linear(N, 3), LIF(keep=0.875))
    return bimhw.compile(net, "loihi2", data=Dataset(x, name="made", layout=how.pop("layout", "bt"), **how)).program


def test_whole_numbers_are_values_where_the_scale_was_measured() -> None:
    """As integers they were payloads of 1/64: a spike of 1 came in as 1/64, and nothing fired."""
    program = _program(REAL)
    assert program.facts.entry.scale == 2.0**-6
    wanted = 64 * SPIKES.astype(np.int64)
    for kind in (np.float32, np.int32, np.uint8, np.bool_):
        samples, payloads = program_samples(program, Dataset(SPIKES.astype(kind), layout="bt"))
        np.testing.assert_array_equal(payloads, wanted)
        assert not any("payload" in note for note in samples.notes)


def test_values_beyond_the_word_are_held_at_its_ends_and_counted() -> None:
    x = REAL.copy()
    x[0, 0, 0], x[1, 2, 3] = 2.5, -9.0
    samples, payloads = program_samples(_program(REAL), Dataset(x, layout="bt"))
    assert (payloads[0, 0, 0], payloads[1, 2, 3]) == (127, -128)
    assert [n for n in samples.notes if "beyond" in n] == [
        f"{2 / x.size:.2%} of the values of x lie beyond -128..127 units of 0.015625 and are held there"
    ]


@pytest.mark.parametrize("wrong", [SPIKES * 5, SPIKES * 0.6, -SPIKES])
def test_binary_spikes_carry_nothing_else(wrong: Any) -> None:
    """Rounded to 0 and 1, such data gave an accuracy of another input."""
    program = _program(SPIKES)
    with pytest.raises(InputError, match=r"values from .* compiled for binary spikes.*--encode rate"):
        program_samples(program, Dataset(wrong, layout="bt", name="wrong"))
    np.testing.assert_array_equal(program_samples(program, Dataset(SPIKES, layout="bt"))[1], SPIKES)


@pytest.mark.parametrize("code", ["rate", "latency"])
def test_a_program_keeps_the_code_of_its_samples(code: str, tmp_path: Path) -> None:
    program = _program(STILL, layout="static", steps=T, encoding=code)
    program.save(tmp_path / "p.bimhw")
    program = Program.load(tmp_path / "p.bimhw")
    wanted = program_samples(program, Dataset(STILL, layout="static", steps=T, encoding=code))[1]
    samples, payloads = program_samples(program, Dataset(STILL, layout="static"))
    np.testing.assert_array_equal(payloads, wanted)
    assert (
        payloads.shape == (B, T, N)
        and payloads.any()
        and f"{code} code, as the program was compiled with" in samples.notes
    )
    np.testing.assert_array_equal(program_samples(program, Dataset(SPIKES, layout="bt"))[1], SPIKES)  # spikes already


def test_the_delta_code_is_kept_too() -> None:
    x = np.cumsum(RNG.normal(size=(B, T, N // 2)), axis=1)
    program = _program(x, encoding="delta")
    wanted = program_samples(program, Dataset(x, layout="bt", encoding="delta"))[1]
    np.testing.assert_array_equal(program_samples(program, Dataset(x, layout="bt"))[1], wanted)


def test_a_rate_code_needs_a_number_of_steps() -> None:
    """It was of one step."""
    with pytest.raises(InputError, match="does not tell T"):
        _program(STILL, layout="static", encoding="rate")


def test_a_network_of_integers_takes_no_real_values(tmp_path: Path) -> None:
    """They were scaled when it was compiled, and rounded when it ran."""
    network = bimhw.compile(
        Stack(torch.nn.Linear(N, 3), LIF(keep=0.875)), "loihi2", data=Dataset(SPIKES, layout="bt")
    ).network
    with pytest.raises(InputError, match="network of integers takes whole ones"):
        bimhw.compile(network, "loihi2", data=Dataset(REAL, layout="bt"))
