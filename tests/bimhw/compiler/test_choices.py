"""Options that a network or a mapping leaves nothing to are refused by name, for every front end that reads integers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

import bimhw
from benchmarks.nets import write_net
from bimhw.compiler.options import CompileOptions
from simulator.base.errors import InputError

OTHER = {"bits": 2, "per_row": True, "free_scales": True, "state_bits": 12}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_net(tmp_path_factory.mktemp("nets") / "small.npz", 40, (5, 6), 0.05, n_in=8, steps=10)


def test_every_option_of_quantisation_is_tried() -> None:
    assert {f.name for f in msgspec.structs.fields(CompileOptions)} - {"layout"} == set(
        OTHER
    )  # layout: not an argument


@pytest.mark.parametrize("option", OTHER)
@pytest.mark.parametrize("form", ["npz", "network", "program"])
def test_integers_are_not_quantised(net: Path, form: str, option: str) -> None:
    made = bimhw.compile(net, "loihi1-fitted", mapping="blocks")
    model = {"npz": net, "network": made.network, "program": made.program}[form]
    refused = pytest.raises(InputError, match=rf"option {option}: is .* holds integers, which are kept")
    with refused:
        bimhw.compile(model, "loihi1-fitted", **{option: OTHER[option]})
    if option != "free_scales":
        with refused:
            bimhw.fit(model, "loihi1-fitted", **{option: OTHER[option]})


def test_the_width_of_the_integers_may_be_said(net: Path) -> None:
    own = max(q.weight_bits for q in bimhw.compile(net, "loihi1-fitted", mapping="blocks").network.projections)
    assert bimhw.compile(net, "loihi1-fitted", mapping="blocks", bits=own).network.stage == "integer"
    assert bimhw.fit(net, "loihi1-fitted", bits=own)["fits"]
    with pytest.raises(InputError, match=f"option bits: is {own - 1}, but the network holds integers"):
        bimhw.compile(net, "loihi1-fitted", mapping="blocks", bits=own - 1)


def test_a_mapping_that_is_given_leaves_no_choice(net: Path, tmp_path: Path) -> None:
    for mapping, option in (
        ("file", {"neurons_per_core": 3}),
        ("file", {"objective": "time"}),
        ("blocks", {"objective": "time"}),
    ):
        with pytest.raises(InputError, match=f"option {next(iter(option))}"):
            bimhw.compile(net, "loihi1-fitted", mapping=mapping, **option)


def test_two_sets_of_samples_are_refused(net: Path) -> None:
    x = np.ones((2, 4, 8), np.int64)
    for command in (bimhw.compile, bimhw.fit):
        with pytest.raises(InputError, match="both given"):
            command(net, "loihi1-fitted", calibration=x, data=bimhw.Dataset(x, layout="bt"))
