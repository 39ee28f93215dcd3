"""SANA-FE's architecture and network files: its own spikes and energy, recorded and (where it is installed) run."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.frontends.sanafe.network import sanafe_network
from energy_models.chip_energy import chip_energy
from mapping.files import program_as_given
from simulator.base.errors import InputError
from simulator.chips.load import load_chip, parse_chip
from simulator.chips.sanafe import chip_from_sanafe, chip_yaml
from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.run import recorded_spikes, tally_of
from tests.bimhw.frontends.sanafe_nets import ARCHITECTURE, random_net, theirs

STEPS = 30
RECORDED = {  # seed: hash of the spikes, joules, packets; by SANA-FE 2.2.9, timing model `simple`
    1: ("728f6cd317b51c45", 5.455019999999999e-08, 204),
    2: ("4e2565ed59e140a9", 5.99457e-08, 192),
    5: ("bf64ddec78bf889b", 1.0432170000000001e-07, 483),
}


def _files(folder: Path, seed: int) -> Path:
    (folder / "arch.yaml").write_text(ARCHITECTURE)
    net = folder / "net.yaml"
    net.write_text(random_net(seed, STEPS))
    return net


def _ours(folder: Path, net: Path) -> dict[str, Any]:
    chip, notes = chip_from_sanafe(folder / "arch.yaml")
    assert notes == ()
    network = sanafe_network(net, STEPS, cores_per_tile=2)
    assert network.inputs is not None
    program = program_as_given(network, chip)
    simulation = Simulation(program, graded_inputs=False)
    simulation.advance(network.inputs, STEPS)
    spikes = recorded_spikes(simulation.record)
    names = [[p.name, i] for p in program.populations for i in range(p.size)]
    steps = [sorted(names[i] for i in spikes.ids[spikes.ptr[t] : spikes.ptr[t + 1]]) for t in range(STEPS)]
    activity = Counter(program, chip.topology).activity(spikes, tally_of(simulation))
    energy = chip_energy(activity, chip, program).energy_pj("dynamic") * 1e-12
    return {"spikes": steps, "energy_j": energy, "packets": activity.total("packets")}


@pytest.mark.parametrize("seed", RECORDED)
def test_spikes_and_energy_are_those_recorded(seed: int, tmp_path: Path) -> None:
    found, (digest, energy, packets) = _ours(tmp_path, _files(tmp_path, seed)), RECORDED[seed]
    assert hashlib.sha256(json.dumps(found["spikes"]).encode()).hexdigest()[:16] == digest
    assert found["energy_j"] == pytest.approx(energy, rel=1e-9)
    assert found["packets"] == packets


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_spikes_and_energy_are_those_of_sana_fe(seed: int, tmp_path: Path) -> None:
    python = os.environ.get("SANAFE_PYTHON")
    if not python:
        pytest.skip("needs SANAFE_PYTHON, a Python that has sanafe")
    net = _files(tmp_path, seed)
    expected, found = theirs(python, tmp_path, net, STEPS), _ours(tmp_path, net)
    assert found["spikes"] == expected["spikes"]
    assert found["energy_j"] == pytest.approx(expected["energy_j"], rel=1e-9)
    assert found["packets"] == expected["packets"]


def test_the_whole_way_by_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _files(tmp_path, 2)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    assert run("chips", "import", "arch.yaml", "-o", "mine.yaml")["cores"] == 8
    assert load_chip("mine.yaml").timing is not None
    run(
        "compile", "net.yaml", "--chip", "mine.yaml", "--mapping", "file", "--read", "cores_per_tile=2", "-o", "p.bimhw"
    )
    run("simulate", "p.bimhw", "-o", "run")
    assert run("energy", "run")["chip"]["figures"]["dynamic_pj"] == pytest.approx(RECORDED[2][1] * 1e12, rel=1e-9)
    assert bimhw.fit("net.yaml", "mine.yaml")["fits"]


def test_a_chip_file_reads_back_as_it_was(tmp_path: Path) -> None:
    _files(tmp_path, 0)
    chip, _ = chip_from_sanafe(tmp_path / "arch.yaml", name="mine")
    assert parse_chip(chip_yaml(chip), "mine") == chip
    assert chip.timing is not None and chip.timing.tick.value == 0.1 and chip.timing.barrier.value == 500


def test_what_a_chip_file_cannot_say_is_named(tmp_path: Path) -> None:
    text = ARCHITECTURE.replace("energy_east_hop: 3.0e-12", "energy_east_hop: 5.0e-12").replace(
        "energy_update: 0.0, l", "energy_update: 2.0e-12, l"
    )
    (tmp_path / "arch.yaml").write_text(text.replace("dendrite: [", "dendrite: [{name: other}, "))
    chip, notes = chip_from_sanafe(tmp_path / "arch.yaml", synapse="syn")
    assert chip.energy["hop_east_west"].value == 4.0
    assert any("mean is taken" in n for n in notes) and any("no place for den" in n for n in notes)
    with pytest.raises(InputError, match=r"has no unit 'dense'\. It has: syn"):
        chip_from_sanafe(tmp_path / "arch.yaml", synapse="dense")
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE.replace("      core:\n", "      core:\n        - name: more\n"))
    with pytest.raises(InputError, match=r"1 kinds of tiles with \[2\] kinds of cores"):
        chip_from_sanafe(tmp_path / "arch.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threshold", "input_decay: 0.5, threshold", "input_decay: .0.5. has no counterpart"),
        ("reset_mode: hard", "reset_mode: none", "reset_mode: is"),
        ("reset: 0.25", "reset: 0.3", "0.3, which is no multiple of 1/64"),
        ("in.1 -> b.2: [synapse", "in.1 -> b.7: [synapse", "is beyond the group's 4 neurons"),
        ("in.1 -> b.2: [synapse", "in.1 -> c: [synapse", "names no group; there are in, a, b"),
        ("in -> a: [type: dense", "a -> in: [type: dense", "ends at an input"),
        ("core: 0.0", "core: 0.4", "no TILE.CORE of 2 cores"),
        ("network:", "net:", "network: is no table"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = random_net(2, STEPS)
    text = text.replace("reset_mode: soft", "reset_mode: hard")
    assert old in text
    (tmp_path / "net.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        sanafe_network(tmp_path / "net.yaml", STEPS, cores_per_tile=2)


def test_resting_neurons_are_named(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(random_net(2, STEPS).replace("force_update: true, ", ""))
    network = sanafe_network(tmp_path / "net.yaml", STEPS, cores_per_tile=2)
    assert any("rest at 0 without input" in note for note in network.meta["notes"])
