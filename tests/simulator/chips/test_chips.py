"""Chip files: every number sourced, the published constants as published, every rule refuses what it must."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from simulator.base.errors import InputError
from simulator.chips.energy_keys import ENERGY_UNITS
from simulator.chips.load import chip_names, load_chip, parse_chip
from simulator.chips.rules import quantities


@cache
def parsed(name: str) -> dict[str, Any]:
    text = (resources.files("simulator") / "chips" / f"{name}.yaml").read_text(encoding="utf-8")
    value: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return value


def raw(name: str) -> dict[str, Any]:
    return copy.deepcopy(parsed(name))


def as_yaml(value: dict[str, Any]) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)  # JSON is YAML


def refused(change: Callable[[dict[str, Any]], None], name: str = "loihi2") -> str:
    value = raw(name)
    change(value)
    with pytest.raises(InputError) as error:
        parse_chip(as_yaml(value), "mine.yaml")
    return str(error.value)


@pytest.mark.parametrize("name", ["loihi1", "loihi1-fitted", "loihi2"])
def test_davies_geometry(name: str) -> None:
    t = load_chip(name).topology
    assert (t.width, t.height, t.cores_per_router, t.usable_cores) == (8, 4, 4, 128)


def test_published_constants_are_as_published() -> None:
    davies, fit = load_chip("loihi1"), load_chip("loihi1-fitted")
    assert davies.energy["synaptic_event"].value == 23.6
    assert [davies.energy[f"neuron_update_{k}"].value for k in ("active", "inactive")] == [81, 52]
    assert davies.timing is not None and davies.timing.synapse.value == 3.5
    assert fit.energy["soma_access"].value == 51.2 and fit.energy["soma_update"].value == 21.6
    assert [fit.energy[k].value for k in ("synaptic_event", "spike", "packet_out")] == [33.6, 69.3, 111.0]
    assert fit.timing is not None and fit.timing.tick.value == 0.1
    assert {k: q.value for k, q in fit.timing.barrier_by_tiles.items()} == {"1": 600, "2": 1000, "4": 1400, "29": 1800}


@pytest.mark.parametrize(
    ("name", "pj"),
    [
        ("truenorth", 1.39),
        ("spinnaker1", 6160),
        ("spinnaker2", 450),
        ("odin", 8.43),
        ("reckon", 5.3),
        ("generic", 8.53),
    ],
)
def test_other_chips(name: str, pj: float) -> None:
    chip = load_chip(name)
    assert chip.energy["synaptic_event"].value == pj
    assert (chip.timing is None) == (name != "generic")


def test_generic_synapse_is_the_sum_of_its_operations() -> None:
    """An accumulator read and written, an addition; an 8-bit weight read: at 7 nm (nominal) and 45 nm (high)."""
    table = load_chip("generic").energy
    event, read = table["synaptic_event"], table["synaptic_memory_read"]
    assert event.value == pytest.approx(2 * 8.5 / 2 + 0.03) and event.high == pytest.approx(2 * 20 / 2 + 0.1)
    assert read.value == pytest.approx(8.5 / 8, abs=0.01) and read.high == pytest.approx(20 / 8)


def test_no_energy_of_loihi2_is_called_measured() -> None:
    for key, q in load_chip("loihi2").energy.items():
        if ENERGY_UNITS[key] == "pJ" and key != "step":  # a step of the whole chip was fitted on a measurement
            assert q.quality in ("assumed", "unverified"), key


def test_every_number_has_unit_source_quality() -> None:
    for name in chip_names():
        for path, q in quantities(load_chip(name)):
            assert q.unit and q.source, (name, path)
            assert q.value is not None or q.quality == "unverified", (name, path)


def test_binary_chip_runs_its_own_neuron_only() -> None:
    c = load_chip("loihi1").capabilities
    assert c.spikes == "binary" and "bim_d_alpha" not in c.neuron_models and "*" not in c.neuron_models


def test_hash_follows_content() -> None:
    value = raw("loihi2")
    same = parse_chip(as_yaml(value), "a.yaml").sha256()
    assert same == load_chip("loihi2").sha256()
    value["energy"]["synaptic_event"]["value"] = 20
    assert parse_chip(as_yaml(value), "a.yaml").sha256() != same


def setter(path: str, new: Any) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            value = value[key]
        value[last] = new

    return change


@pytest.mark.parametrize(
    ("path", "new", "expected"),
    [
        ("timing.hop_east_west.value", -1, r"\$\.timing\.hop_east_west: is -1 ns; a time cannot be negative"),
        ("timing.synapse.unit", "us", r"\$\.timing\.synapse\.unit: is 'us'; it must be 'ns'"),
        ("timing.tick.value", 0, r"\$\.timing\.tick: is 0"),
        ("timing.tick.value", 5, r"\$\.timing\..* which a tick of 5 ns rounds to 0 ns"),
        ("timing.flit_time.unit", "1", r"\$\.timing\.flit_time\.unit: is '1'; it must be 'ns'"),
        (
            "timing.flit_time",
            {"value": 0.04, "unit": "ns", "source": "s", "quality": "assumed"},
            r"\$\.timing\.flit_time: .* rounds to 0 ns",
        ),
        ("timing.flits.value", 1.5, r"\$\.timing\.flits: is 1\.5; it must be a whole number"),
        ("timing.barrier_by_tiles", {"x": {"value": 1, "unit": "ns", "source": "s", "quality": "assumed"}}, "tiles"),
        ("timing.barrier.value", float("inf"), r"barrier\.value: is inf"),
        ("timing.hop_eastwest", 3, r"hop_eastwest"),
        ("energy.synaptic_event.value", 1e9, r"\$\.energy\.synaptic_event: is 1e\+09 pJ, above"),
        ("energy.synaptic_event.value", -23.6, r"\$\.energy\.synaptic_event: is -23\.6 pJ; it cannot be negative"),
        ("energy.synaptic_event.unit", "nJ", r"\$\.energy\.synaptic_event\.unit: is 'nJ'; it must be 'pJ'"),
        ("energy.synapse_event", {"value": 1, "unit": "pJ", "source": "s", "quality": "assumed"}, "Did you mean 'syn"),
        ("energy.op_mul", {"value": -1, "unit": "pJ", "source": "s", "quality": "assumed"}, r"op_mul: is -1 pJ"),
        ("energy.op_mul", {"value": 1e9, "unit": "pJ", "source": "s", "quality": "assumed"}, r"above 1e\+06 pJ"),
        ("energy.op_mul.source", " ", r"\$\.energy\.op_mul\.source: is empty"),
        ("energy.op_mul.low", 3, r"\$\.energy\.op_mul: has low 3"),
        ("energy.op_mul.quality", "guessed", r"\$\.energy\.op_mul\.quality.*'guessed'"),
        ("energy.op_mul.value", "8,5", r"\$\.energy\.op_mul\.value.*'8,5'"),
        ("timing.barrier_by_tiles", {"4": {"value": 1}}, r"\$\.timing\.barrier_by_tiles\.4"),
        ("energy", {}, r"\$\.energy: is empty"),
        ("topology.width", 2**18, r"\$\.topology: has 262144 x 4 x 4 = 4,194,304 cores; 1,048,576 are the most"),
        ("topology.height", 2**60, r"\$\.topology: has 8 x 1152921504606846976 x 4"),
        ("topology.usable_cores", 129, r"\$\.topology\.usable_cores: is 129; the mesh has 8 x 4 x 4 = 128"),
        ("topology.host_port", [8, 0], r"\$\.topology\.host_port"),
        ("topology.broken_cores", [128], r"\$\.topology\.broken_cores\[0\]: is 128"),
        ("topology.broken_cores", [3, 3], "twice"),
        ("topology.width", 0, r"\$\.topology\.width"),
        ("limits.neurons_per_core.value", 0, r"\$\.limits\.neurons_per_core: is 0"),
        ("limits.neurons_per_core.unit", "B", r"\$\.limits\.neurons_per_core\.unit"),
        ("capabilities.graded_bits", 0, r"\$\.capabilities\.graded_bits: is 0 with graded"),
        ("capabilities.weight_bits", [], r"\$\.capabilities\.weight_bits"),
        ("capabilities.max_delay", -1, r"\$\.capabilities\.max_delay"),
        ("supply_v", {"value": 750, "unit": "V", "source": "s", "quality": "assumed"}, r"\$\.supply_v: is 750 V"),
        ("name", "my chip", r"\$\.name"),
    ],
)
def test_rule_names_path_and_value(path: str, new: Any, expected: str) -> None:
    message = refused(setter(path, new))
    assert message.startswith("mine.yaml"), message
    assert re.search(expected, message), message


@pytest.mark.parametrize("section", ["timing", "energy", "limits", "topology", "capabilities", "name"])
def test_missing_section_is_refused(section: str) -> None:
    message = refused(lambda value: value.pop(section))
    assert section in message


def test_timing_null_is_energy_only() -> None:
    value = raw("loihi2")
    value["timing"] = None
    assert parse_chip(as_yaml(value), "x.yaml").timing is None


def test_unknown_chip_and_broken_yaml() -> None:
    with pytest.raises(InputError, match=r"Chips: .*loihi2"):
        load_chip("loihi9")
    with pytest.raises(InputError, match="is not YAML"):
        parse_chip("a: [", "x.yaml")
    with pytest.raises(InputError, match=r"x\.yaml"):
        parse_chip("just text", "x.yaml")


@settings(deadline=None, max_examples=10, phases=[Phase.generate])  # parsing YAML is slow: no shrinking
@given(st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_value_for_a_section_gives_an_input_error_or_a_chip(junk: Any) -> None:
    value = raw("loihi1") | {"energy": junk}
    with contextlib.suppress(InputError):
        parse_chip(as_yaml(value), "x.yaml")


def test_a_file_that_is_no_text_is_an_input_error(tmp_path: Path) -> None:
    from energy_models.gpu_card import load_gpu

    (tmp_path / "x.yaml").write_bytes(b"name: \xe9\xff")
    for load in (load_chip, load_gpu):
        with pytest.raises(InputError, match=r"x\.yaml, line 1, column 7: is not text"):
            load(str(tmp_path / "x.yaml"))


def test_lone_surrogate_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"x\.yaml"):
        parse_chip('{"name": "\\ud81d"}', "x.yaml")
