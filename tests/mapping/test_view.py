"""What `bimhw map` shows: loads and links against messages walked hop by hop, and the picture and mapping it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw.cli.main import main
from mapping.files import save_mapping
from mapping.view import view_mapping
from simulator.chips.chip import Chip, Topology
from simulator.chips.load import load_chip
from simulator.neurons.base import get
from simulator.program.axons import axon_table, host_readers
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.traffic import reach


def example(seed: int, t: Topology) -> tuple[Program, Chip, dict[str, Any]]:
    import msgspec

    rng = np.random.default_rng(seed)
    chip = msgspec.structs.replace(load_chip("loihi2"), topology=t)
    params = {w.name: np.asarray(get("lif").defaults.get(w.name, 1)) for w in get("lif").params}
    populations = (
        Population("in", "input", 5),
        Population("a", "lif", 30, params, layer=1),
        Population("b", "lif", 12, params, layer=2, role="output"),
    )
    projections = tuple(
        Projection(f"{s}.{d}", s, d, "in", *dense_to_csr((rng.random((m, n)) < 0.2).astype(np.int8)))
        for s, n, d, m in (("in", 5, "a", 30), ("a", 30, "b", 12), ("b", 12, "a", 30))
    )
    usable = np.nonzero([t.works(c) for c in range(t.mesh_cores)])[0]
    core = np.concatenate([np.full(5, -1), rng.choice(usable, 42)]).astype(np.int32)
    rates = {p.name: rng.random(p.size) for p in populations}
    return Program("loihi2", chip.sha256(), populations, projections, core), chip, rates


@pytest.mark.parametrize("topology", [Topology(4, 3, 2, 24, (1, 2)), Topology(2, 2, 2, 7, (0, 1), chips=3)])
@pytest.mark.parametrize("seed", range(3))
def test_links_are_those_of_messages_walked_hop_by_hop(seed: int, topology: Topology) -> None:
    program, chip, rates = example(seed, topology)
    view = view_mapping(program, chip, rates)
    axons, reads = axon_table(program), host_readers(program)
    rate = np.concatenate([rates[p.name] for p in program.populations])
    link = np.zeros((topology.columns, topology.height, 4))
    crossed = 0.0
    for v in range(program.n_neurons):
        home = int(program.core[v])
        targets = axons.dst[axons.ptr[v] : axons.ptr[v + 1]].tolist() + ([-1] if reads[v] and home >= 0 else [])
        for c in targets:
            x, y = router(topology, home)
            to_x, to_y = router(topology, c)
            while (x, y) != (to_x, to_y):
                d = (1 if to_x > x else 3) if x != to_x else (0 if to_y > y else 2)
                link[x, y, d] += rate[v]
                nx, ny = x + (d == 1) - (d == 3), y + (d == 0) - (d == 2)
                crossed += rate[v] * (nx // topology.width != x // topology.width)
                x, y = nx, ny
    np.testing.assert_allclose(view.link, link, atol=1e-9)
    assert view.chip_messages == pytest.approx(crossed)
    r = reach(program, topology)
    assert view.link.sum() == pytest.approx(rate @ (r.hops_ew + r.hops_ns + r.hops_chip))
    on = program.core >= 0
    np.testing.assert_array_equal(view.neurons, np.bincount(program.core[on], minlength=topology.mesh_cores))
    assert view.as_json(topology)["hops_per_step"] == pytest.approx(link.sum())


def router(t: Topology, core: int) -> tuple[int, int]:
    return t.host_port if core < 0 else divmod(core // t.cores_per_router, t.height)


def test_load_is_the_fullest_resource() -> None:
    program, chip, _ = example(0, Topology(4, 3, 2, 24))
    view = view_mapping(program, chip)
    from mapping.usage import usage

    for c in np.nonzero(view.neurons)[0]:
        shares = {r.name: r.used[c] / r.limit for r in usage(program, chip) if r.limit and c < r.used.size}
        shares.pop("state_bytes_per_neuron", None)
        assert view.load[c] == pytest.approx(max(shares.values()))
        assert shares[view.binding[c]] == max(shares.values())


def code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def test_command_draws_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, _, _ = example(1, load_chip("loihi2").topology)
    path, picture, saved = tmp_path / "x.bimhw", tmp_path / "m.png", tmp_path / "m.json"
    program.save(path)
    assert code("map", str(path), "-o", str(picture), "--save", str(saved), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(row["neurons"] for row in said["cores"]) == 42
    assert picture.read_bytes()[:4] == b"\x89PNG"
    save_mapping(program, tmp_path / "again.json")
    assert saved.read_bytes() == (tmp_path / "again.json").read_bytes()
    assert code("map", str(path), "-o", str(tmp_path / "m.svg")) == 0
    assert "<svg" in (tmp_path / "m.svg").read_text()
    assert "hops per step" in capsys.readouterr().out
    assert code("map", str(path), "-o", str(tmp_path / "m.bmp")) == 2
    assert "must end in .png" in capsys.readouterr().err
