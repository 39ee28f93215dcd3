"""A program and its chip: what they say of one another is checked before any kernel counts by core."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from mapping.view import view_mapping
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.program.chip import check_cores, chip_of_program, with_chip
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

OWN = msgspec.structs.replace(load_chip("generic"), name="mine")
PARAMS = {"dv": np.array(512), "vth": np.array(300)}


def program(core: int = 0, chip: str = "loihi2", **meta: object) -> Program:
    populations = (Population("in", "input", 2), Population("a", "lif", 2, PARAMS))
    up = Projection("up", "in", "a", "in", *dense_to_csr(np.full((2, 2), 9, np.int8)))
    return Program(chip, "", populations, (up,), np.array([HOST, HOST, 0, core], np.int32), meta=dict(meta))


@pytest.mark.parametrize("core", [128, 200, 2**20 - 1])
def test_a_core_that_the_chip_lacks_is_refused_before_it_is_counted(core: int) -> None:
    bad = program(core)
    for use in (chip_of_program, lambda p: run(p, SpikeTrain.from_dense(np.ones((2, 2), np.int32)), 2)):
        with pytest.raises(InputError, match=rf"core {core}: cannot be reached; .*'loihi2' has a mesh of 128 cores"):
            use(bad)


def test_the_last_core_is_one() -> None:
    chip = chip_of_program(program(127))
    assert view_mapping(program(127), chip).neurons.tolist() == [1, *[0] * 126, 1]


def test_a_broken_core_is_refused() -> None:
    chip = load_chip("loihi2")
    broken = msgspec.structs.replace(chip, topology=msgspec.structs.replace(chip.topology, broken_cores=(3,)))
    with pytest.raises(InputError, match=r"cores \[3\]: are broken"):
        check_cores(program(3), broken)


def test_a_chip_travels_in_its_program() -> None:
    assert chip_of_program(replace(program(chip="mine"), meta=with_chip({}, OWN))).sha256() == OWN.sha256()


@pytest.mark.parametrize(
    "topology",
    [{"width": 2**40}, {"width": -1}, {"cores_per_router": 0}, {"usable_cores": 2**40}, {"height": "4"}, {"host_port": [99, 99]}],
    ids=str,
)  # fmt: skip
def test_a_forged_chip_in_a_program_is_held_against_the_rules_of_chips(topology: dict[str, object]) -> None:
    content = json.loads(msgspec.json.encode(OWN))
    content["topology"] |= topology
    with pytest.raises(InputError, match="chip_file"):
        chip_of_program(program(chip="mine", chip_file=content))


def test_a_time_below_0_in_a_chip_of_a_program_is_refused() -> None:
    content = json.loads(msgspec.json.encode(OWN))
    content["timing"]["hop_east_west"]["value"] = -1.0
    with pytest.raises(InputError, match=r"chip_file.*hop_east_west"):
        chip_of_program(program(chip="mine", chip_file=content))
