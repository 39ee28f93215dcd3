"""SANA-FE networks with decimals, every reset, TrueNorth somas and several units: spikes and energy as SANA-FE 2.2.9 has them.

These neurons are ``lif_grid``. What SANA-FE computes was recorded; where it is installed it is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from energy_models.chip_energy import chip_energy
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip, parse_chip
from simulator.chips.sanafe import chip_yaml
from simulator.function import run
from simulator.neurons.base import get
from simulator.neurons.lif_grid import decay_words
from tests.bimhw.frontends.sanafe_nets import theirs
from tests.bimhw.frontends.sanafe_units import architecture, decimal_net

STEPS = 40
RECORDED = {  # seed: hash of the spikes, joules; by SANA-FE 2.2.9, timing model `simple`
    0: ("fae8754b3196b2b7", 9.3515e-08),
    1: ("5de7b4ab364884b3", 1.038339e-07),
    2: ("e31f300cc2e506bd", 8.365960000000001e-08),
    3: ("545dc76b9d204ec1", 7.57433e-08),
    5: ("59f65bf17651d749", 7.927959999999997e-08),
    7: ("c04242bd3b7433f1", 1.7307559999999996e-07),
}
TIED = {11}  # a sum of decimals equals a threshold, and SANA-FE's doubles round it above or below


def _files(folder: Path, seed: int) -> None:
    arch, net = decimal_net(seed, STEPS)
    (folder / "arch.yaml").write_text(arch)
    (folder / "net.yaml").write_text(net)


def _ours(folder: Path, *, resting: str = "free") -> dict[str, Any]:
    """Spikes by group and neuron, and joules, by the architecture file itself."""
    reading = {"steps": STEPS, "resting": resting}
    program = bimhw.compile(folder / "net.yaml", str(folder / "arch.yaml"), reading=reading).program
    assert program.inputs is not None
    ran = run(program, program.inputs, STEPS)
    spikes = ran.spikes
    names = [[p.name.partition("_")[0], i] for p in program.populations for i in range(p.size)]
    steps = [sorted(names[i] for i in spikes.ids[spikes.ptr[t] : spikes.ptr[t + 1]]) for t in range(STEPS)]
    energy = chip_energy(ran.activity, load_chip(str(folder / "arch.yaml")), program)
    return {"spikes": steps, "energy_j": energy.energy_pj("dynamic") * 1e-12}


def _digest(spikes: object) -> str:
    return hashlib.sha256(json.dumps(spikes).encode()).hexdigest()[:16]


@pytest.mark.parametrize("seed", RECORDED)
def test_spikes_and_energy_are_those_recorded(seed: int, tmp_path: Path) -> None:
    _files(tmp_path, seed)
    found, (digest, energy) = _ours(tmp_path), RECORDED[seed]
    assert _digest(found["spikes"]) == digest
    assert found["energy_j"] == pytest.approx(energy, rel=1e-9, abs=0)


@pytest.mark.long
@pytest.mark.parametrize("seed", sorted(set(range(21)) - TIED))
def test_spikes_and_energy_are_those_of_sana_fe(seed: int, tmp_path: Path) -> None:
    python = os.environ.get("SANAFE_PYTHON")
    if not python:
        pytest.skip("needs SANAFE_PYTHON, a Python that has sanafe")
    _files(tmp_path, seed)
    expected, found = theirs(python, tmp_path, tmp_path / "net.yaml", STEPS, decimal_net(seed)[0]), _ours(tmp_path)
    assert found["spikes"] == expected["spikes"]
    assert found["energy_j"] == pytest.approx(expected["energy_j"], rel=1e-9, abs=0)


TUTORIAL = """
network:
  name: decimal
  groups:
    - {name: p, attributes: [threshold: 1.0, log_spikes: true], neurons: [0: [bias: 0.2], 1: []]}
    - {name: q, attributes: [threshold: 2.0, synapse_hw_name: fast], neurons: [0: []]}
  edges: [p.0 -> q.0: [weight: -1.0]]
mappings: [p.0: [core: 0.0], p.1: [core: 0.0], q.0: [core: 0.1]]
"""


def _plain_v(steps: int) -> list[int]:
    """Spikes of a bias of 0.2 by SANA-FE's rule in words: V is cut to 1/64 before it grows by the bias."""
    v, fired = 0.0, []
    for t in range(steps):
        v = int(64 * v) / 64 + 0.2
        if v > 1.0:
            fired.append(t)
            v = 0.0
    return fired


def test_a_bias_that_is_no_multiple_of_a_64th(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(TUTORIAL)
    (tmp_path / "arch.yaml").write_text(architecture())
    found = _ours(tmp_path)["spikes"]
    assert [t for t, names in enumerate(found) if ["p", 0] in names] == _plain_v(STEPS)
    note = " ".join(bimhw.compile(tmp_path / "net.yaml", str(tmp_path / "arch.yaml")).report["notes"])
    assert "group 'p': decimals are exact here, in 1/320" in note and "group 'q'" in note


def test_the_tenth_neuron_of_a_group_that_is_a_number(tmp_path: Path) -> None:
    """``0.10`` is no number: SANA-FE's own networks name their groups 0 and 1."""
    rows = ", ".join(f"0.{i}: {{core: 0.{i % 4}}}" for i in range(21))
    neurons = "neurons: [0..20: [bias: 2.0, threshold: 1.0]]"
    text = f"network: {{name: n, groups: [{{name: 0, {neurons}}}], edges: [0.10 -> 0.20: [weight: 1.0]]}}\nmappings: [{rows}]\n"
    (tmp_path / "net.yaml").write_text(text)
    (tmp_path / "arch.yaml").write_text(architecture())
    program = bimhw.compile(tmp_path / "net.yaml", str(tmp_path / "arch.yaml")).program
    assert program.core.tolist() == [i % 4 for i in range(21)]


def test_an_architecture_is_a_chip_and_its_chip_file_says_the_same(tmp_path: Path) -> None:
    _files(tmp_path, 3)
    chip = load_chip(str(tmp_path / "arch.yaml"))
    assert parse_chip(chip_yaml(chip), "units") == chip
    assert chip.units["truenorth"] == ("first", "second") and chip.units["chosen"] == ("slow", "den", "first")
    (tmp_path / "mine.yaml").write_text(chip_yaml(chip))
    both = [bimhw.compile(tmp_path / "net.yaml", str(tmp_path / name)).program for name in ("arch.yaml", "mine.yaml")]
    assert both[0].sha256() == both[1].sha256()
    assert {p.model for p in both[0].populations} == {"input", "lif_grid"}


def test_items_name_their_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _files(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    for command in ("compile net.yaml --chip arch.yaml -o p.bimhw", "simulate p.bimhw -o run", "energy run --json"):
        done = CliRunner().invoke(cli, command.split(), catch_exceptions=False)
        assert done.exit_code == 0, done.output
    items = {item["name"]: item for item in json.loads(done.stdout)["chip"]["items"]}
    assert {"hops west", "hops south", "dendrite updates"} <= set(items)
    assert items["hops west"]["constant"] == 1.8 and items["hops south"]["constant"] == 3.0
    assert items["dendrite updates"]["count"] == sum(
        i["count"] for n, i in items.items() if n.startswith("synaptic events")
    )


def test_a_unit_that_is_named_and_is_the_first_is_charged(tmp_path: Path) -> None:
    """Group b asks for the second synapse unit by name, group a for the first, which is the chip's own."""
    (tmp_path / "arch.yaml").write_text(architecture())
    text = TUTORIAL.replace("threshold: 1.0, log", "bias: 2.0, synapse_hw_name: slow, threshold: 1.0, log")
    text = text.replace("[p.0 -> q.0: [weight: -1.0]]", "[p.0 -> q.0: [weight: -1.0], p.0 -> p.1: [weight: 1.0]]")
    (tmp_path / "net.yaml").write_text(text)
    program = bimhw.compile(tmp_path / "net.yaml", str(tmp_path / "arch.yaml"), reading={"steps": STEPS}).program
    assert program.inputs is not None
    activity = run(program, program.inputs, STEPS).activity
    report = chip_energy(activity, load_chip(str(tmp_path / "arch.yaml")), program)
    items = {item.name: (item.count, item.energy_pj) for item in report.items if item.hardware == "synapse"}
    spikes = activity.total("synaptic_events") // 2
    assert spikes > 5 and items == {
        "synaptic events": (spikes, spikes * 7.0), "synaptic events, fast": (spikes, spikes * 20.0)
    }  # fmt: skip
    assert all(item.known for item in report.items)


def test_a_unit_energy_is_checked_like_any_other(tmp_path: Path) -> None:
    text = chip_yaml(parse_chip(architecture(), "arch.yaml"))
    assert "unit_energy" in text
    with pytest.raises(InputError, match=r"unit_energy\.fast\.synaptic_evnt: is not a known key.*synaptic_event"):
        parse_chip(text.replace("fast:\n    synaptic_event", "fast:\n    synaptic_evnt"), "mine.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bias: 0.2", "bias: 0.2, noise_bits: 3", "p.0: noise_bits: .3. has no counterpart"),
        ("bias: 0.2", "bias: 0.2, leak: 0.5", "p.0: leak: .0.5. has no counterpart"),
        ("bias: 0.2", "refractory_delay: 1.5", "refractory_delay: is no whole number of steps"),
        ("bias: 0.2", "reverse_reset_mode: up", "reverse_reset_mode: is 'up'; it can be none, soft, hard, saturate"),
        ("weight: -1.0", "weight: -1.0, delay: 2", "delay: .2. has no counterpart"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(old: str, new: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "arch.yaml").write_text(architecture())
    (tmp_path / "net.yaml").write_text(TUTORIAL.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        bimhw.compile(tmp_path / "net.yaml", str(tmp_path / "arch.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "model: accumulator",
            "model: taps",
            "p.0: is on the dendrite unit 'den', whose model taps has no counterpart",
        ),
        (
            "{model: leaky_integrate_fire",
            "{noise: x.csv, model: leaky_integrate_fire",
            "p.0: .*'first', whose noise has",
        ),
        ("model: leaky_integrate_fire", "plugin: x.so, model: mine", "p.0: .* unit 'first', whose model mine has no"),
    ],
)
def test_a_unit_that_computes_something_else_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "arch.yaml").write_text(architecture().replace(old, new, 1))
    (tmp_path / "net.yaml").write_text(TUTORIAL)
    with pytest.raises(InputError, match=message):
        bimhw.compile(tmp_path / "net.yaml", str(tmp_path / "arch.yaml"))


def test_attributes_may_be_empty_and_equal_tiles_come_in_parts(tmp_path: Path) -> None:
    text = architecture().replace("{energy_message_in: 0.5e-12, latency_message_in: 0.0}", "")
    head, tile = text[: text.index("    - name: tile")], text[text.index("    - name: tile") :]
    chip = parse_chip(head + tile.replace("0..3]", "0..2]", 1) + tile.replace("0..3]", "3..3]", 1), "arch.yaml")
    assert chip.energy["packet_in"].value == 0 and chip.topology.usable_cores == 16


def test_a_grid_neuron_does_not_run_on_a_chip_without_it(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(TUTORIAL.replace(", synapse_hw_name: fast", ""))
    with pytest.raises(FitError, match="needs the neuron model 'lif_grid'"):
        bimhw.compile(tmp_path / "net.yaml", "truenorth")


def test_a_decay_is_kept_to_the_bit() -> None:
    values = [0.9, 0.1, 1.0, -0.5, 1.5, 0.99975585937, 1e-9, 0.0]
    words = decay_words(values)
    back = np.ldexp(words["decay_hi"] * 2.0**27 + words["decay_lo"], words["decay_exp"])
    assert back.tolist() == values


def test_the_float_twin_of_lif_grid_is_the_kernel() -> None:
    """All values are whole units, so doubles hold them exactly."""
    model, rng, n = get("lif_grid"), np.random.default_rng(5), 64
    assert model.kernel is not None and model.float_step is not None
    drawn = {
        **decay_words(rng.choice([1.0, 0.9, 0.7, -0.5], n).tolist()),
        "grain": rng.choice([1, 5, 125], n), "leak": rng.integers(0, 30, n), "toward_zero": rng.integers(0, 2, n),
        "bias": rng.integers(-20, 60, n), "vth": rng.integers(100, 400, n), "strict": rng.integers(0, 2, n),
        "mode": rng.integers(0, 4, n), "v_reset": rng.integers(-50, 50, n), "refractory": rng.integers(0, 4, n),
        "v_low": rng.integers(-300, -100, n), "low_mode": rng.integers(0, 4, n), "low_add": rng.integers(0, 200, n),
        "low_reset": rng.integers(-90, 50, n), "v_init": rng.integers(-90, 90, n), "start": np.full(n, -1),
    }  # fmt: skip
    params = np.array([drawn[w.name] for w in model.params], np.int32)
    words = np.array([drawn["v_init"], drawn["start"]], np.int32)
    state = {"v": words[0].astype(float), "held": words[1].astype(float)}
    out, fired = np.zeros(n, np.int32), 0
    for t in range(60):
        acc = rng.integers(-150, 200, (1, n)).astype(np.int32)
        model.kernel(acc, words, params, np.zeros(0, np.int32), out, 0, n, t, 0, 0)
        got = model.float_step({"in": acc[0].astype(float)}, state, drawn)
        assert got.tolist() == out.tolist()
        assert state["v"].tolist() == words[0].tolist() and state["held"].tolist() == words[1].tolist()
        fired += int(out.sum())
    assert fired > 100
