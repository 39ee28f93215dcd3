"""A broken and resumed run gives the bytes of an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.function import FunctionRun, Simulation, run, run_samples
from simulator.function.checkpoint import load_checkpoint, save_checkpoint
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def _program(model: str = "loihi_cuba") -> Program:
    rng = np.random.default_rng(4)
    params: dict[str, np.ndarray] = {"dv": np.array(512), "vth": np.array(300)}
    if model == "loihi_cuba":
        params = {"du": np.array(900), "dv": np.array(300), "vth": np.array(200), "noise_target": np.array(1),
                  "noise_exp": np.array(12)}  # fmt: skip
    populations = (Population("in", "input", 8), Population("a", model, 30, params))
    projections = (
        Projection("up", "in", "a", "in", *dense_to_csr(rng.integers(-20, 90, (30, 8)).astype(np.int8)), delay=4),
        Projection("re", "a", "a", "in", *dense_to_csr(rng.integers(-30, 30, (30, 30)).astype(np.int8)), delay=9),
    )
    if model == "lif":  # qualifies for the fast loop
        projections = tuple(
            Projection(p.name, p.source, p.target, "in", p.indptr, p.indices, p.weights) for p in projections
        )
    return Program("", "", populations, projections, np.zeros(38, np.int32))


def _inputs(steps: int = 90) -> SpikeTrain:
    return SpikeTrain.from_dense((np.random.default_rng(9).random((steps, 8)) < 0.4).astype(np.int32))


def _same(a: FunctionRun, b: FunctionRun) -> None:
    assert a.spikes.ptr.tobytes() == b.spikes.ptr.tobytes()
    assert a.spikes.ids.tobytes() == b.spikes.ids.tobytes()
    assert a.probes.keys() == b.probes.keys()
    for p, values in a.probes.items():
        assert values.tobytes() == b.probes[p].tobytes()
    assert a.activity.counts.keys() == b.activity.counts.keys()
    for name, count in a.activity.counts.items():
        for part in ("by_core", "by_step", "by_population"):
            assert getattr(count, part).tobytes() == getattr(b.activity.counts[name], part).tobytes()
    for x, y in zip(a.state.words + a.state.rings, b.state.words + b.state.rings, strict=True):
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("model", ["loihi_cuba", "lif"])
@pytest.mark.parametrize("every", [1, 7, 100])
def test_a_run_with_checkpoints_is_the_run(tmp_path: Path, model: str, every: int) -> None:
    program, inputs, probes = _program(model), _inputs(), [("a", "v")] if model == "loihi_cuba" else []
    whole = run(program, inputs, 100, seed=5, probes=probes)
    assert whole.spikes.ids.size > 400
    saved = run(program, inputs, 100, seed=5, probes=probes, checkpoint=tmp_path / "c", checkpoint_every=every)
    _same(whole, saved)
    again = run(program, inputs, 100, seed=5, probes=probes, checkpoint=tmp_path / "c", checkpoint_every=every)
    _same(whole, again)  # nothing left to do: all of it comes from the file


_KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import importlib.util
spec = importlib.util.spec_from_file_location("cases", sys.argv[2])
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
from simulator.function import Simulation
from simulator.function.checkpoint import advance_saving
simulation = Simulation(cases._program(), seed=5, graded_inputs=False)
simulation.step_hooks.append(lambda s: os.kill(os.getpid(), signal.SIGKILL) if s.state.step == 58 else None)
advance_saving(simulation, cases._inputs(), 100, sys.argv[3], 10)
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", _KILLED, root, __file__, str(tmp_path / "c")]
    killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": root})
    assert killed.returncode == -signal.SIGKILL
    probe = Simulation(_program(), seed=5, graded_inputs=False)
    from simulator.function.checkpoint import _inputs_hash

    load_checkpoint(probe, tmp_path / "c", _inputs_hash((_inputs(),), 100))
    assert probe.state.step == 50
    resumed = run(_program(), _inputs(), 100, seed=5, checkpoint=tmp_path / "c", checkpoint_every=10)
    _same(run(_program(), _inputs(), 100, seed=5), resumed)


def test_changed_weights_are_part_of_a_checkpoint(tmp_path: Path) -> None:
    def learner(s: Simulation) -> None:
        s.weights("re")[s.state.step % 50] += 1

    def start() -> Simulation:
        s = Simulation(_program(), seed=1, graded_inputs=False)
        s.step_hooks.append(learner)
        return s

    a, b, c = start(), start(), start()
    inputs = _inputs()
    a.advance(inputs, 90)
    b.advance(inputs, 0)
    cut = SpikeTrain(inputs.ptr[:41], inputs.ids[: inputs.ptr[40]])
    b.advance(cut, 40)
    save_checkpoint(b, tmp_path / "c")
    load_checkpoint(c, tmp_path / "c")
    c.advance(SpikeTrain(inputs.ptr[40:] - inputs.ptr[40], inputs.ids[inputs.ptr[40] :]), 50)
    assert not (a.weights("re") == _program().projections[1].weights).all()
    assert (a.layout.program.projections[1].weights == _program().projections[1].weights).all()
    assert a.weights("re").tobytes() == c.weights("re").tobytes()
    assert np.concatenate(a.record.ids).tobytes() == np.concatenate(c.record.ids).tobytes()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    run(_program(), _inputs(), 20, seed=5, checkpoint=path, checkpoint_every=10)
    cases = [
        (_program("lif"), _inputs(), 5, (), "other program"),
        (_program(), _inputs(80), 5, (), "other inputs"),
        (_program(), _inputs(), 6, (), "other seed"),
        (_program(), _inputs(), 5, [("a", "v")], "other probes"),
    ]
    for program, inputs, seed, probes, message in cases:
        with pytest.raises(InputError, match=message):
            run(program, inputs, 20, seed=seed, probes=probes, checkpoint=path, checkpoint_every=10)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(InputError, match="altered"):
        run(_program(), _inputs(), 20, seed=5, checkpoint=path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="safetensors"):
        run(_program(), _inputs(), 20, seed=5, checkpoint=path)
    with pytest.raises(InputError, match=r"is 0\. Give 1 or more steps"):
        run(_program(), _inputs(), 20, checkpoint=tmp_path / "d", checkpoint_every=0)


@pytest.mark.parametrize("every", [1, 7, 15, 30, 100])
def test_samples_with_checkpoints_are_the_samples(tmp_path: Path, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken after every checkpoint, whether within a sample or between two: resets are done once."""
    program, samples, probes = _program(), [_inputs(15) for _ in range(4)], [("a", "v")]
    whole = run_samples(program, samples, 15, seed=5, probes=probes)
    broken = 0

    def save_and_die(*args: object) -> None:
        save_checkpoint(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    for _ in range(100):
        with monkeypatch.context() as patch:
            patch.setattr("simulator.function.checkpoint.save_checkpoint", save_and_die)
            try:
                saved = run_samples(
                    program, samples, 15, seed=5, probes=probes, checkpoint=tmp_path / "c", checkpoint_every=every
                )
                break
            except KeyboardInterrupt:
                broken += 1
    assert broken == -(-60 // every)
    assert [s.ids.tolist() for s in saved.spikes] == [s.ids.tolist() for s in whole.spikes]
    assert saved.probes["a", "v"].tobytes() == whole.probes["a", "v"].tobytes()
    assert saved.activity.counts.keys() == whole.activity.counts.keys()
    for name, count in whole.activity.counts.items():
        assert saved.activity.counts[name].by_step.tolist() == count.by_step.tolist()
    with pytest.raises(InputError, match="of a run with other inputs"):
        run_samples(program, samples[:3], 15, seed=5, probes=probes, checkpoint=tmp_path / "c")
