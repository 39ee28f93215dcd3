"""Plain network files compile: mapped by their own rates, the same spikes under every mapping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from benchmarks.nets import write_net
from bimhw.cli.commands.compile_ import command
from bimhw.compiler.integer import spike_rates
from bimhw.compiler.pipeline import compile
from bimhw.frontends.npz import read_plain
from simulator.base.errors import FitError, InputError
from simulator.program.axons import axon_table


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_net(tmp_path_factory.mktemp("nets") / "small.npz", 700, (5, 40), 0.05, n_in=40, steps=60)


@pytest.mark.parametrize("mapping", ["file", "blocks", "auto"])
def test_spikes_of_a_compiled_net_are_those_of_the_file(net: Path, tmp_path: Path, mapping: str) -> None:
    result = compile(net, "loihi1-fitted", mapping=mapping)
    result.program.save(tmp_path / "x.bimhw")
    program, inputs = bimhw.Program.load(tmp_path / "x.bimhw"), read_plain(net).inputs
    run = bimhw.run(program, inputs, 60)
    assert run.spikes.spike_hash() == bimhw.bench(net, engine="none").spike_hash
    assert result.report["mapping"]["method"] == mapping
    assert program.meta["model_sha256"] == result.report["model_sha256"]
    assert result.report["axons"] == axon_table(program).dst.size


def test_rates_are_those_of_the_run(net: Path) -> None:
    plain = read_plain(net)
    rates = spike_rates(plain.network, [plain.inputs], 60)
    spikes = bimhw.run(compile(net, "loihi1-fitted", mapping="blocks").program, plain.inputs, 60).spikes
    counts = np.bincount(spikes.ids, minlength=700) / 60
    assert np.concatenate([rates["in"], rates["lif"]]).tolist() == counts.tolist()


def test_the_command_and_its_errors(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.bimhw"
    done = CliRunner().invoke(command, [str(net), "--chip", "loihi1-fitted", "--mapping", "file", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.exists()
    data = dict(np.load(net))
    np.savez(tmp_path / "one.npz", **{**data, "core": data["core"] * 0})
    compile(tmp_path / "one.npz", "loihi1-fitted", mapping="file")
    np.savez(tmp_path / "far.npz", **{**data, "core": data["core"] + 60})
    with pytest.raises(FitError, match="uses core 187"):
        compile(tmp_path / "far.npz", "loihi1-fitted", mapping="file")
    with pytest.raises(InputError, match="does not exist"):
        compile(tmp_path / "none.npz")
