"""Each check passes, and each sees the thing it checks when that is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bimhw.cli.main import cli
from bimhw.evidence.verify import chip
from bimhw.evidence.verify.check import Check, Setting, run_checks
from bimhw.evidence.verify.checks import CHECKS
from bimhw.evidence.verify.markdown import markdown
from bimhw.runs.request import Request

BY_NAME = {c.name: c for c in CHECKS}
Patch = pytest.MonkeyPatch


def _scaled(function: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *a, **k: change(function(*a, **k))


def _break_rtrl(patch: Patch) -> None:
    from bimhw.learning.forms.rtrl import RtrlLearner

    old = RtrlLearner.observe

    def observe(self: Any, u: Any, target: Any, weight: float = 1.0) -> Any:
        return old(self, u, target, weight * (1 + 1e-6))  # a wrong loss weight: every gradient is off by 1e-6

    patch.setattr(RtrlLearner, "observe", observe)


def _break_forms(patch: Patch) -> None:
    from bimhw.learning.forms.seq import SweepLearner

    old = SweepLearner.finish
    patch.setattr(SweepLearner, "finish", lambda self: {k: v * 1.001 for k, v in (old(self) or {}).items()})


def _break_stdp(patch: Patch) -> None:
    from bimhw.learning.rules.stdp import StdpTraces

    patch.setattr(StdpTraces, "take", _scaled(StdpTraces.take, lambda omega: omega + 1e-6))


def _break_psp(patch: Patch) -> None:
    import simulator.neurons.psp as psp

    patch.setattr(psp, "psp_constants", _scaled(psp.psp_constants, lambda k: replace(k, b=k.b * (1 + 1e-9))))


def _break_pruning(patch: Patch) -> None:
    from bimhw.learning.pruning import MatrixPruner

    old = MatrixPruner.call

    def call(self: Any, weights: Any) -> Any:
        mask = old(self, weights)
        mask[: max(1, len(mask) // 50)] = False  # two in a hundred rows always go
        return mask

    patch.setattr(MatrixPruner, "call", call)


def _break_engines(patch: Patch) -> None:
    import simulator.timing.compiled as compiled

    def late(times: Any) -> Any:
        stamps = times.stamps.copy()
        stamps[-1:] += 1
        return replace(times, stamps=stamps)

    patch.setattr(compiled, "run_compiled", _scaled(compiled.run_compiled, late))


def _break_bound(patch: Patch) -> None:
    import simulator.timing.bound as bound

    patch.setattr(bound, "release_bound", _scaled(bound.release_bound, lambda ticks: ticks + 10**6))


def _break_loihi(patch: Patch) -> None:
    patch.setattr(chip, "_decay", lambda x, keep: x * keep >> 12)  # floor instead of toward zero


def _break_hash(patch: Patch) -> None:
    patch.setattr(chip, "SAVED_HASH", "0" * 16)


def _break_mapping(patch: Patch) -> None:
    def by_core(request: Request) -> Any:  # random numbers keyed by a core
        return old(replace(request, how=replace(request.how, seed=request.how.seed + int(request.program.core.max()))))

    old = chip.execute
    patch.setattr(chip, "execute", by_core)


def _break_threads(patch: Patch) -> None:
    import simulator.timing.compiled as compiled

    calls = iter(range(10**6))

    def drifting(times: Any) -> Any:
        return replace(times, stamps=times.stamps + next(calls))

    patch.setattr(compiled, "run_compiled", _scaled(compiled.run_compiled, drifting))


def _break_checkpoint(patch: Patch) -> None:
    import simulator.function.checkpoint as checkpoint

    patch.setattr(checkpoint, "load_checkpoint", lambda simulation, path: None)  # forgets the state


def _break_energy(patch: Patch) -> None:
    import energy_models.chip_energy as energy

    def one_more(names: Any) -> Any:
        return old({n: v + (n == "packets") for n, v in names.items()})

    old = energy.counters
    patch.setattr(energy, "counters", one_more)


def _break_brian2(patch: Patch) -> None:
    import bimhw.evidence.crosscheck.check as check

    def flipped(twin: Any) -> Any:
        return replace(twin, out={n: np.where(np.arange(len(v))[:, None] == 7, 1 - v, v) for n, v in twin.out.items()})

    patch.setattr(check, "run_brian", _scaled(check.run_brian, flipped))


def _break_brian2_learning(patch: Patch) -> None:
    from bimhw.learning.rules.stdp import StdpTraces

    old = StdpTraces.step

    def step(self: Any, u: Any, s: Any) -> Any:
        tie = self.settings.a_minus * (s.T @ u) / len(u)  # the pre spike meets the step's own post spike too
        self.omega -= tie
        return old(self, u, s) - tie

    patch.setattr(StdpTraces, "step", step)


BREAKS = {
    "RTRL gradient": _break_rtrl,
    "event-driven learning (SEQ, BLK)": _break_forms,
    "STDP traces": _break_stdp,
    "PSP recurrence": _break_psp,
    "pruning controller": _break_pruning,
    "timing engines": _break_engines,
    "lower bound of time": _break_bound,
    "Loihi CUBA-LIF": _break_loihi,
    "spikes of a saved network": _break_hash,
    "mapping and chunks": _break_mapping,
    "threads": _break_threads,
    "checkpoint": _break_checkpoint,
    "energy items": _break_energy,
    "networks in Brian2": _break_brian2,
    "STDP and hybrid weights in Brian2": _break_brian2_learning,
}
OUTSIDE = {".nir files", "published RTL", "dynamic energy of real chips"}  # need files; broken below and in test_rtl
OWN = {"own network: framework", "own network: Brian2", "own network: chip"}  # broken in test_own


@dataclass(frozen=True)
class _Fewer(Setting):
    most: int = 3

    def cases(self, quick: int, full: int) -> range:
        return range(self.seed, self.seed + min(quick, self.most))


def test_every_check_is_broken_here() -> None:
    assert set(BREAKS) | OUTSIDE | OWN == set(BY_NAME)


def _timed(name: str) -> Any:
    """Brian2 takes as long for one network as the other checks for all; its tests of the cross-check see faults every time."""
    return pytest.param(name, marks=pytest.mark.long) if name.endswith("in Brian2") else name


@pytest.mark.parametrize("name", [_timed(name) for name in sorted(BREAKS)])
def test_check_passes_and_sees_a_fault(name: str, monkeypatch: Patch) -> None:
    if name.endswith("in Brian2"):
        pytest.importorskip("brian2", reason="needs the extra brian2")
    check, setting = BY_NAME[name], _Fewer(5, most=1 if name.endswith("in Brian2") else 3)
    (whole,) = run_checks([check], setting)
    assert whole.status == "pass", whole
    BREAKS[name](monkeypatch)
    (broken,) = run_checks([check], setting)
    assert broken.status == "FAIL", broken


def test_nir_check_counts_wrong_values(tmp_path: Path, shared: Path) -> None:
    folder = tmp_path / "nir"
    folder.mkdir()
    for name in ("snn_ff.nir", "profiles.json"):
        (folder / name).write_bytes((shared / "nir/generated" / name).read_bytes())
    arrays = dict(np.load(shared / "nir/generated/snn_ff.npz"))
    np.savez(folder / "snn_ff.npz", **arrays)
    setting = Setting(0, nir=folder)
    assert run_checks([BY_NAME[".nir files"]], setting)[0].status == "pass"
    arrays["out"] = 1 - arrays["out"]
    np.savez(folder / "snn_ff.npz", **arrays)
    assert run_checks([BY_NAME[".nir files"]], setting)[0].status == "FAIL"


def test_silicon_check_sees_other_constants(shared: Path, monkeypatch: Patch) -> None:
    import bimhw.evidence.silicon.compare as compare

    setting = Setting(0, silicon=shared / "data/measured")
    assert run_checks([BY_NAME["dynamic energy of real chips"]], setting)[0].status == "pass"
    monkeypatch.setattr(compare.Comparison, "mean", lambda self, quantity: 0.4)
    assert run_checks([BY_NAME["dynamic energy of real chips"]], setting)[0].status == "FAIL"


def test_a_check_that_breaks_is_a_failure_and_the_rest_goes_on() -> None:
    def broken(setting: Setting) -> float:
        raise ValueError("no")

    checks = [Check("a", "b", "c", 0, broken), BY_NAME["spikes of a saved network"]]
    outcomes = run_checks(checks, Setting(1))
    assert [o.status for o in outcomes] == ["FAIL", "pass"]
    assert "ValueError: no" in outcomes[0].note


def test_command(monkeypatch: Patch) -> None:
    good = CliRunner().invoke(cli, ["verify", "--only", "saved", "--seed", "3", "--json"])
    assert good.exit_code == 0
    assert json.loads(good.stdout)["seed"] == 3
    monkeypatch.setattr(chip, "SAVED_HASH", "0" * 16)
    bad = CliRunner().invoke(cli, ["verify", "--only", "saved"])
    assert bad.exit_code == 1
    assert "FAIL" in bad.stdout


def test_page_says_what_was_never_compared() -> None:
    outcomes = run_checks([BY_NAME["spikes of a saved network"], BY_NAME[".nir files"]], Setting(1))
    page = markdown(outcomes, Setting(1))
    assert "skipped" in page
    assert "Never compared" in page
