"""SANA-FE's architecture and network files: its own spikes and energy, recorded and (where it is installed) run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.costs.copies import throughput
from bimhw.frontends.sanafe.network import sanafe_network
from energy_models.chip_energy import chip_energy
from mapping.files import program_as_given
from mapping.mapper import map_network
from mapping.network import Network
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip, parse_chip
from simulator.chips.sanafe import chip_from_sanafe, chip_yaml
from simulator.function import Simulation, run, run_samples
from simulator.function.counting import Counter
from simulator.function.resting import with_resting
from simulator.function.run import recorded_spikes, tally_of
from simulator.program.faults import Faults
from simulator.program.spikes import SpikeTrain
from tests.bimhw.frontends.sanafe_nets import ARCHITECTURE, random_net, resting_net, theirs

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


def _ours(folder: Path, net: Path, *, rest_is_free: bool = False) -> dict[str, Any]:
    chip, notes = chip_from_sanafe(folder / "arch.yaml")
    assert notes == ()
    network = sanafe_network(net, STEPS, cores_per_tile=2, rest_is_free=rest_is_free)
    assert network.inputs is not None
    program = program_as_given(network, chip)
    simulation = Simulation(program, graded_inputs=False)
    simulation.advance(network.inputs, STEPS)
    spikes = recorded_spikes(simulation.record)
    names = [[p.name, i] for p in program.populations for i in range(p.size)]
    steps = [sorted(names[i] for i in spikes.ids[spikes.ptr[t] : spikes.ptr[t + 1]]) for t in range(STEPS)]
    activity = Counter(program, chip.topology).activity(spikes, with_resting(program, spikes, tally_of(simulation)))
    energy = chip_energy(activity, chip, program).energy_pj("dynamic") * 1e-12
    return {"spikes": steps, "energy_j": energy, "packets": activity.total("packets")}


@pytest.mark.parametrize("seed", RECORDED)
def test_spikes_and_energy_are_those_recorded(seed: int, tmp_path: Path) -> None:
    found, (digest, energy, packets) = _ours(tmp_path, _files(tmp_path, seed)), RECORDED[seed]
    assert hashlib.sha256(json.dumps(found["spikes"]).encode()).hexdigest()[:16] == digest
    assert found["energy_j"] == pytest.approx(energy, rel=1e-9, abs=0)
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
    assert found["energy_j"] == pytest.approx(expected["energy_j"], rel=1e-9, abs=0)
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
    assert chip.energy["hop_east_west"].value == 5.0 and chip.energy["hop_west"].value == 3.0
    assert chip.unit_energy["den"]["dendrite_update"].value == 2.0
    assert any("dendrite: times are those of other" in n for n in notes)
    with pytest.raises(InputError, match=r"has no unit 'dense'\. It has: syn"):
        chip_from_sanafe(tmp_path / "arch.yaml", synapse="dense")
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE.replace("      core:\n", "      core:\n        - name: more\n"))
    with pytest.raises(InputError, match=r"1 kinds of tiles with \[2\] kinds of cores"):
        chip_from_sanafe(tmp_path / "arch.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threshold", "input_decay: 0.5, threshold", "input_decay: .0.5. has no counterpart"),
        ("reset_mode: hard", "reset_mode: nothing", "reset_mode: is 'nothing'; it can be none, soft, hard, saturate"),
        ("reset: 0.25", "reset: 3.0e7", "value 3e.07: is beyond 32 bits in units of 1/64"),
        ("in.1 -> b.2: [synapse", "in.1 -> b.7: [synapse", "is beyond the group's 4 neurons"),
        ("in.1 -> b.2: [synapse", "in.0..1 -> b.2: [synapse", "SANA-FE takes the first alone"),
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "- b: {core: 0.0, soma: lif}",
            "- b: {core: 0.0, soma: nope}",
            r"b\.0: asks for the soma unit 'nope', and a core",
        ),
        (
            'soma: "input[3]"',
            'soma: "input[8]"',
            r"in\.3: asks for the soma unit 'input\[8\]'.* has lif, input\[0\.\.7\]",
        ),
        ("threshold", "synapse_hw_name: fast, threshold", r"asks for the synapse unit 'fast', and a core .* has syn"),
        ("threshold", "dendrite_hw_name: tree, threshold", r"asks for the dendrite unit 'tree', and a core .* has den"),
        ("b.2: [synapse", "b.2: [synapse_hw_name: fast, synapse", r"in -> b: asks for the synapse unit 'fast'"),
    ],
)
def test_units_that_no_core_has_are_refused_by_name(old: str, new: str, message: str, tmp_path: Path) -> None:
    net = _files(tmp_path, 2)
    text = re.sub(r"- b: {core: \d\.\d", "- b: {core: 0.0", net.read_text())
    assert old in text
    chip, _ = chip_from_sanafe(tmp_path / "arch.yaml", name="mine")
    net.write_text(text)
    assert bimhw.fit(net, chip)["fits"]
    net.write_text(text.replace(old, new, 1))
    with pytest.raises(FitError, match=message):
        bimhw.compile(net, chip, mapping="blocks")
    assert "asks for the" in str(bimhw.fit(net, chip)["reason"])


@pytest.mark.parametrize("groups", ["[]", "[{name: a, neurons: [0]}, {name: a, neurons: [0]}]"])
def test_groups_have_neurons_and_names_of_their_own(groups: str, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(f"network: {{name: x, groups: {groups}, edges: []}}\nmappings: []\n")
    with pytest.raises(InputError, match="holds no group, or two of one name"):
        sanafe_network(tmp_path / "net.yaml", 5, cores_per_tile=2)


def test_resting_neurons_are_named(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(random_net(2, STEPS).replace("force_update: true, ", ""))
    network = sanafe_network(tmp_path / "net.yaml", STEPS, cores_per_tile=2)
    assert any("rest at 0 without input" in note for note in network.meta["notes"])


def _plain_rest(network: Network, steps: int) -> list[list[int]]:
    """Return who rests in each step, by logical id: neurons, spikes and arrivals one after another in plain Python."""
    assert network.inputs is not None
    first, n = {}, 0
    for p in network.populations:
        first[p.name], n = n, n + p.size
    synapses = [
        (first[q.source] + i, first[q.target] + int(q.indices[j]), int(q.weights[j]) << q.exponent)
        for q in network.projections
        for i in range(q.indptr.size - 1)
        for j in range(q.indptr[i], q.indptr[i + 1])
    ]
    neurons = {
        first[p.name] + i: {k: int(np.broadcast_to(v, p.size)[i]) for k, v in p.params.items()}
        for p in network.populations
        if p.model == "lif"
        for i in range(p.size)
    }
    free = {first[k] + i for k, ranges in network.meta["resting"].items() for a, b in ranges for i in range(a, b)}
    v = {i: p["v_init"] for i, p in neurons.items()}
    fired: set[int] = set()
    out = []
    for t in range(steps):
        arrived = [(target, w) for source, target, w in synapses if source in fired]
        still = {i for i in free if v[i] == 0} - {target for target, _ in arrived}
        for i, p in neurons.items():
            v[i] = int(v[i] * (4096 - p["dv"]) / 4096) + p["bias"] + sum(w for target, w in arrived if target == i)
        fired = {i for i, p in neurons.items() if v[i] > p["vth"]}
        for i in fired:
            v[i] = v[i] - neurons[i]["vth"] if neurons[i]["soft"] else neurons[i]["v_reset"]
        out.append(sorted(still - fired))
        fired |= set(network.inputs.ids[network.inputs.ptr[t] : network.inputs.ptr[t + 1]].tolist())
    return out


@pytest.mark.parametrize("seed", range(12))
def test_resting_neurons_are_those_of_a_plain_count(seed: int, tmp_path: Path) -> None:
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE)
    (tmp_path / "net.yaml").write_text(resting_net(seed, STEPS))
    network = sanafe_network(tmp_path / "net.yaml", STEPS, cores_per_tile=2, rest_is_free=True)
    program = program_as_given(network, chip_from_sanafe(tmp_path / "arch.yaml")[0])
    ran = run(program, network.inputs, STEPS)
    expected = _plain_rest(network, STEPS)
    assert sum(map(len, expected)) > 10
    assert ran.tally.resting is not None
    by_neuron, by_step = ran.tally.resting
    assert by_step.tolist() == [len(row) for row in expected]
    assert by_neuron.tolist() == [sum(i in row for row in expected) for i in range(program.n_neurons)]
    twice = run_samples(program, [network.inputs] * 2, STEPS, workers=2).tally.resting
    assert twice is not None and twice[0].tolist() == (2 * by_neuron).tolist()
    assert twice[1].tolist() == [*by_step, *by_step]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_energy_with_resting_neurons_is_that_of_sana_fe(seed: int, tmp_path: Path) -> None:
    python = os.environ.get("SANAFE_PYTHON")
    if not python:
        pytest.skip("needs SANAFE_PYTHON, a Python that has sanafe")
    net = tmp_path / "net.yaml"
    net.write_text(resting_net(seed, STEPS))
    expected = theirs(python, tmp_path, net, STEPS)
    charged, free = _ours(tmp_path, net), _ours(tmp_path, net, rest_is_free=True)
    assert free["spikes"] == charged["spikes"] == expected["spikes"]
    assert free["energy_j"] == pytest.approx(expected["energy_j"], rel=1e-9, abs=0)
    assert charged["energy_j"] > expected["energy_j"] * 1.001


def test_what_cannot_count_resting_neurons_says_so(tmp_path: Path) -> None:
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE)
    (tmp_path / "net.yaml").write_text(resting_net(2, STEPS))
    chip, _ = chip_from_sanafe(tmp_path / "arch.yaml")
    network = sanafe_network(tmp_path / "net.yaml", STEPS, cores_per_tile=2, rest_is_free=True)
    program = program_as_given(network, chip)
    ran = run(program, network.inputs, STEPS)
    with pytest.raises(InputError, match="is counted in whole runs"):
        Counter(program, chip.topology).activity(ran.spikes, replace(ran.tally, resting=None))
    other = replace(program, meta=dict(program.meta) | {"resting": {"a": []}})
    with pytest.raises(InputError, match="names populations other than those that run: b"):
        with_resting(other, ran.spikes, ran.tally)
    late = SpikeTrain(np.minimum(ran.spikes.ptr, ran.spikes.ids.size - 1), ran.spikes.ids[:-1])
    with pytest.raises(InputError, match="the program's own"):
        with_resting(program, late, ran.tally)
    with pytest.raises(InputError, match="the program's own"):
        run(program, network.inputs, STEPS, faults=Faults(dead_cores=(int(program.core[-1]),)))
    with pytest.raises(InputError, match="no soma_access and soma_update apart"):
        chip_energy(ran.activity, load_chip("loihi2"), program)


def test_the_option_by_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.yaml").write_text(resting_net(2, STEPS))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE)

    def done(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    done("chips", "import", "arch.yaml", "-o", "mine.yaml")
    found = {}
    for resting in ("charged", "free"):
        options = ["--mapping", "file", "--read", "cores_per_tile=2", "--read", f"resting={resting}"]
        done("compile", "net.yaml", "--chip", "mine.yaml", *options, "-o", f"{resting}.bimhw")
        for engine in ("compiled", "events", "none"):
            done("simulate", f"{resting}.bimhw", "--engine", engine, "-o", f"{resting}-{engine}")
            found[engine, resting] = done("energy", f"{resting}-{engine}")["chip"]["figures"]["dynamic_pj"]
    network = sanafe_network(tmp_path / "net.yaml", rest_is_free=True)
    rest = sum(map(len, _plain_rest(network, STEPS)))
    for engine in ("compiled", "events", "none"):
        assert found[engine, "charged"] == found["compiled", "charged"]
        assert found[engine, "free"] == found["compiled", "free"]
    assert found["compiled", "free"] == pytest.approx(found["compiled", "charged"] - 21.6 * rest, rel=1e-12)


def test_the_option_goes_with_every_mapping(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(resting_net(3, STEPS))
    (tmp_path / "arch.yaml").write_text(ARCHITECTURE)
    chip, _ = chip_from_sanafe(tmp_path / "arch.yaml")
    network = sanafe_network(tmp_path / "net.yaml", STEPS, cores_per_tile=2, rest_is_free=True)
    assert network.inputs is not None
    placed = run(program_as_given(network, chip), network.inputs, STEPS)
    program = map_network(replace(network, core=None), chip, objective="energy").program
    mapped = run(program, network.inputs, STEPS)
    assert mapped.activity.total("neuron_updates_resting") == placed.activity.total("neuron_updates_resting") > 0
    many, copied = throughput(program, chip, mapped.spikes, mapped.activity, 2)
    assert copied.samples == 2
    assert copied.total("neuron_updates_resting") == 2 * mapped.activity.total("neuron_updates_resting")
    assert copied.counts["neuron_updates_resting"].by_population.size == len(many.populations)


def test_fields_without_a_place_are_named_one_by_one(tmp_path: Path) -> None:
    text = ARCHITECTURE.replace("buffer_position: soma", "buffer_position: dendrite, log_energy: true")
    text = text.replace("buffer_inside_unit: false", "buffer_inside_unit: true").replace("mesh", "torus")
    (tmp_path / "arch.yaml").write_text(text)
    chip, notes = chip_from_sanafe(tmp_path / "arch.yaml")
    named = [note.split(": ")[1].split(" is ")[0] for note in notes]
    assert named == ["topology", "buffer_position", "log_energy", "buffer_inside_unit"] and chip.notes == notes
