"""Voltage and node scaling against their equations."""

from __future__ import annotations

import pytest

from energy_models.scaling import scaled_chip
from simulator.base.errors import InputError
from simulator.chips.load import load_chip


def test_voltage_squared_and_static_linear() -> None:
    chip = load_chip("loihi1")
    low = scaled_chip(chip, supply_v=0.5)
    assert low.energy["synaptic_event"].value == pytest.approx(23.6 * (0.5 / 0.75) ** 2)
    assert low.energy["static_chip"].value == pytest.approx(104.4 * 0.5 / 0.75)
    assert low.energy["synaptic_event"].quality == "scaled" and "0.5 V" in low.energy["synaptic_event"].note
    assert low.energy["spike"].value is None
    assert scaled_chip(chip) is chip


def test_nodes_meet_the_published_ends() -> None:
    generic = load_chip("generic")
    old = scaled_chip(generic, process_nm=45)
    assert old.energy["op_mul"].value == pytest.approx(1.48 * 3.1 / 1.48)
    assert old.energy["op_lut"].value == pytest.approx(1.9 * 10 / 7.5)
    assert old.energy["op_mul"].quality == "unverified"  # worse stays worse
    there_and_back = scaled_chip(generic, process_nm=7)
    assert there_and_back.energy["op_mul"].value == pytest.approx(1.48)


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"outside 0\.5\.\.1\.25 V"):
        scaled_chip(load_chip("loihi1"), supply_v=0.2)
    with pytest.raises(InputError, match="does not state its supply"):
        scaled_chip(load_chip("loihi2"), supply_v=0.6)
    with pytest.raises(InputError, match="is outside 7"):
        scaled_chip(load_chip("spinnaker1"), process_nm=7)
