"""`bimhw rules`: rows of built-in and shipped rules, the front by brute force, the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bimhw.cli.commands.rules import command
from bimhw.runs.learn_rule import RuleMachine, learn_by_rule
from bimhw.runs.rule_words import ready_for_rules
from bimhw.studies.rules import BUILT_IN, _as_asked, _compiled, _part, rules
from bimhw.studies.rules_page import check_page, table, write_table
from bimhw.studies.rules_plot import plot_rules
from bimhw.studies.rules_rows import RuleRow, pareto
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task
from mapping.usage import usage
from simulator.base.errors import FitError, InputError
from simulator.chips.load import load_chip
from simulator.plasticity.rules.rule_file import read_rules, rules_from, shipped_rules


def test_rules_of_both_kinds_are_priced(tmp_path: Path) -> None:
    digits = load_task("digits")
    small = replace(digits, train=digits.train.take(slice(0, 12)), test=digits.test.take(slice(0, 12)))
    picture = tmp_path / "rules.png"
    rows = rules(small, "loihi2", ("frozen", "etlp"), hidden=(8,), level=0.01, epochs=2, plot=picture)
    assert [r.rule for r in rows] == ["frozen", "etlp"]
    for row in rows:
        assert row.energy_uj > 0
        assert row.latency_us is not None and row.latency_us > 0
        assert row.memory_bytes > 0 and row.packets > 0
        reached = next((k for k, a in enumerate(row.accuracy, 1) if a >= 0.01), None)
        expected = None if reached is None else reached * 12 * row.energy_uj / 1e3
        assert row.energy_to_level_mj == (None if expected is None else pytest.approx(expected))
    assert picture.stat().st_size > 5000
    with pytest.raises(InputError, match="does not exist"):
        rules(small, "loihi2", ("frozen", "nothing"), hidden=(8,))
    with pytest.raises(InputError, match="on the host"):
        rules(small, "loihi2", ("frozen", "eventprop"), hidden=(8,))
    assert {"rtrl-dense", "rtrl-seq", "stdp", "hybrid", "frozen"} == set(BUILT_IN)


def test_the_command_prints_json() -> None:
    arguments = ["digits", "--rule", "delta", "--train", "10", "--test", "10", "--hidden", "4", "--json"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert row["rule"] == "delta"
    assert row["pareto"] is True


def row_of(rule: object, energy: float, accuracy: float, reached: int | None = None, seed: int = 0) -> RuleRow:
    cost = None if reached is None else reached * energy / 1e3
    return RuleRow(str(rule), seed, (accuracy,), (100,), float(energy), 1.0, 1, 1.0, 1.0, reached, cost, cost)


def test_the_table_of_a_page_is_ordered_by_energy_to_the_level(tmp_path: Path) -> None:
    page = tmp_path / "rules.md"
    page.write_text("before\n<!-- rules digits -->\nold\n<!-- end -->\nafter\n")
    rows = [row_of("slow", 5, 0.95, 100), row_of("none", 1, 0.5), row_of("fast", 2, 0.93, 100)]
    rows += [row_of("slow", 7, 0.93, 200, 1), row_of("none", 1, 0.6, seed=1), row_of("fast", 2, 0.91, 100, 1)]
    write_table(page, "digits", rows, 0.9)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n") and "old" not in text
    assert text.index("`fast`") < text.index("`slow`") < text.index("`none`")
    assert "| `slow` | 94.0 +- 1.4 | 150 +- 71 | 0.95 +- 0.64 |" in text  # (0.5, 1.4) mJ
    assert "| `none` | 55.0 +- 7.1 | not reached | not reached |" in text
    with pytest.raises(InputError, match="has no marks <!-- rules fsdd -->"):
        check_page(page, "fsdd")


def test_scores_every_so_many_samples(tmp_path: Path) -> None:
    digits = load_task("digits", whole=True)
    small = replace(digits, train=digits.train.take(slice(0, 12)), test=digits.test.take(slice(0, 12)))
    (row,) = rules(small, "loihi2", ("delta",), hidden=(8,), family="leaky", every=5, epochs=2, level=0.01)
    assert row.scored_at == (5, 10, 15, 20, 24)
    assert len(row.accuracy) == 5
    (slower,) = rules(
        small, "loihi2", ("delta",), hidden=(8,), family="leaky", every=5, epochs=2, level=0.01, shift=(0, -30)
    )
    assert slower.accuracy != row.accuracy and len(set(slower.accuracy)) == 1, "steps below the rounding change nothing"
    with pytest.raises(InputError, match=r"shift: is \(9, 0\)"):
        rules(small, "loihi2", ("delta",), family="leaky", shift=(9, 0))
    with pytest.raises(InputError, match="rule 'rtrl-seq': learns BIM networks, not leaky ones"):
        rules(small, "loihi2", ("rtrl-seq",), family="leaky")


def test_rounding_and_rates_are_those_asked_for() -> None:
    plain = read_rules("ottt")
    asked = _as_asked(plain, (-7, 2), "unbiased")
    assert asked.file.rounding == "unbiased" and _as_asked(plain, (0, 0), None).file == plain.file
    moved = [b.dw.unit - a.dw.unit for a, b in zip(plain.rules, asked.rules, strict=True)]
    assert moved == [2 if r.projections == ("readout",) else -7 for r in plain.rules]


def test_a_stream_is_learnt_in_its_order_and_judged_by_what_comes_next(tmp_path: Path) -> None:
    task = load_task("drift", train=20, test=5, steps=6)
    (row,) = rules(task, "loihi2", ("delta",), hidden=(8,), family="leaky", every=8, plot=tmp_path / "stream.png")
    assert row.stream
    assert row.scored_at == (8, 16, 20)
    program = _compiled(task, "loihi2", (8,), 0, "leaky", {})
    file = read_rules("delta")
    machine = RuleMachine(ready_for_rules(program, file, task, 0), file, task, 0)
    expected = []
    for at, (x, y) in enumerate(zip(task.train.x, task.train.y, strict=True), 1):
        machine.sample(x, int(y))
        if at in row.scored_at:
            expected.append(machine.score(task.train.take(slice(at, at + 8)) if at < 20 else task.test))
    assert row.accuracy == tuple(expected)
    write = tmp_path / "page.md"
    write.write_text("<!-- rules drift -->\n<!-- end -->\n")
    write_table(write, "drift", [row], 0.9)
    assert "| over the stream, % | samples to 90% " in write.read_text()
    with pytest.raises(InputError, match="shuffles its samples, and 'drift' is a stream"):
        rules(task, "loihi2", ("frozen",))
    with pytest.raises(InputError, match="option 'recurent': is not known"):
        rules(task, "loihi2", ("delta",), family="leaky", settings={"recurent": True})


def test_a_task_judged_by_an_area_is_scored_by_it(tmp_path: Path) -> None:
    small = load_task("cue", cues=1, delay_ms=0, longest_delay_ms=0, step_ms=50, group=2, train=6, test=12)
    task = replace(small, metric="auc")
    (row,) = rules(task, "loihi2", ("delta",), hidden=(4,), family="leaky", plot=tmp_path / "areas.png")
    program, file = _compiled(task, "loihi2", (4,), 0, "leaky", {}), read_rules("delta")
    learnt = learn_by_rule(program, file, task)
    assert (row.figure, row.accuracy) == ("AUC-ROC", learnt.auc_roc)
    machine = RuleMachine(learnt.program, file, task, 0)
    assert machine.judge(task.test)["auc_roc"] == row.accuracy[-1]
    assert "AUC-ROC at the end, %" in table([row], 0.9)
    with pytest.raises(InputError, match="'cue' is judged by areas under curves"):
        rules(task, "loihi2", ("frozen",))
    with pytest.raises(InputError, match="test samples: has 3 sequences"):
        rules(task, "loihi2", ("delta",), family="leaky", test=3)


@pytest.mark.parametrize("chip", ["seneca", "spinnaker2"])
def test_chips_that_store_no_7_bits_learn_in_halved_words(chip: str) -> None:
    task = load_task("cue", cues=1, delay_ms=0, longest_delay_ms=0, step_ms=50, group=2, train=2, test=10)
    program = _compiled(task, chip, (3,), 0, "leaky", {})
    ready = ready_for_rules(program, read_rules("ottt"), task, 0)
    assert all(q.weight_bits == 8 and abs(q.weights).max() <= 64 for q in ready.projections)


def short_cue() -> Task:
    return load_task("cue", cues=1, delay_ms=0, longest_delay_ms=0, step_ms=50, group=2, train=2, test=10)


def test_a_chip_without_energies_of_learning_ranks_no_rules(tmp_path: Path) -> None:
    """No operation of learning has a constant on SpiNNaker 2: its energies would be those of inference alone."""
    rows = rules(short_cue(), "spinnaker2", ("delta", "e-prop"), hidden=(3,), family="leaky", level=0.01)
    assert all(r.energy_uj is None and r.energy_to_level_mj is None for r in rows) and pareto(rows) == []
    assert "learning: weight mac" in rows[0].not_priced and rows[0].samples_to_level is not None
    cells = table(rows, 0.01).splitlines()[2].split(" | ")
    assert (cells[3], cells[5]) == ("unknown", "unknown")
    plot_rules(rows, "cue", tmp_path / "front.svg")
    assert "learning has no known energy on this chip" in (tmp_path / "front.svg").read_text(encoding="utf-8")
    plot_rules([*rows, row_of("ottt", 2, 0.9)], "cue", tmp_path / "some.svg")
    assert "learning has no known energy:" in (tmp_path / "some.svg").read_text(encoding="utf-8")


def own_chip(folder: Path, old: str, new: str) -> str:
    text = (resources.files("simulator.chips") / "loihi2.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    file = folder / "mine.yaml"
    file.write_text(text.replace(old, new).replace("name: loihi2", "name: mine", 1), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("learning", "said"),
    [("[]", "learns by no rule"), ("[stdp]", "learns by stdp"), ("[products]", ""), ("[delta]", "")],
)
def test_a_rule_file_needs_a_chip_that_learns_by_it(learning: str, said: str, tmp_path: Path) -> None:
    chip = own_chip(tmp_path, 'learning: ["*"]', f"learning: {learning}")
    if not said:
        assert rules(short_cue(), chip, ("delta",), hidden=(3,), family="leaky")[0].memory_bytes > 0
        return
    with pytest.raises(FitError, match=f"rule file 'delta': needs .* and chip 'mine' {said}. Chips that do: .*loihi1,"):
        rules(short_cue(), chip, ("delta",), hidden=(3,), family="leaky")


def test_all_rules_are_held_against_the_chip_before_one_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = own_chip(tmp_path, "max_delay: 62", "max_delay: 0")
    late = tmp_path / "late.yaml"
    late.write_text("name: late\nrules:\n  - projections: readout\n    dd: 2^-1*x0*y0\n")
    monkeypatch.setattr("bimhw.studies.rules.learn_by_rule", lambda *a, **k: pytest.fail())
    with pytest.raises(FitError, match="'late': changes delays, and chip 'mine' has none"):
        rules(short_cue(), chip, ("delta", str(late)), hidden=(3,), family="leaky")


def test_words_of_a_rule_that_a_core_does_not_hold_are_refused(tmp_path: Path) -> None:
    """One core: the limit is what the network needs with the words of `delta`, and a tag of 9 bits a synapse is beyond."""
    task, file = short_cue(), read_rules("e-prop")
    ready = ready_for_rules(_compiled(task, "loihi2", (3,), 0, "leaky", {}), file, task, 0)
    network = next(r.worst for r in usage(ready, load_chip("loihi2")) if r.name == "memory_bytes")
    words = {name: learn_by_rule(ready, name, task).memory for name in ("delta", "e-prop")}
    assert words["e-prop"]["tags"] == -(-9 * ready.projections[0].n_synapses // 8)
    limit = network + sum(words["delta"].values()) + 4
    chip = own_chip(tmp_path, "  memory_bytes_per_core: {value: 196608", f"  memory_bytes_per_core: {{value: {limit}")
    assert rules(task, chip, ("delta",), hidden=(3,), family="leaky")
    with pytest.raises(FitError, match=f"core 0: needs .* memory_bytes with its learning words, the limit is {limit}"):
        rules(task, chip, ("e-prop",), hidden=(3,), family="leaky")


@pytest.mark.parametrize("stored", [[4], [1, 2, 3], [3, 4]])
def test_a_chip_of_narrow_weights_learns_in_its_own_words(stored: list[int], tmp_path: Path) -> None:
    """A BIM network learns in words of 8 bits or more, so that such a chip is refused for it."""
    chip = own_chip(tmp_path, "weight_bits: [1, 2, 3, 4, 5, 6, 7, 8]", f"weight_bits: {stored}")
    (row,) = rules(short_cue(), chip, ("delta",), hidden=(3,), family="leaky")
    assert row.memory_bytes > 0
    with pytest.raises(
        FitError, match=r"bits: is 8 for weights that learn, and chip 'mine' stores .* that stores 8: .*loihi2"
    ):
        rules(short_cue(), chip, ("delta",), hidden=(3,), family="bim")


@pytest.mark.parametrize("family", ["leaky", "bim"])
def test_a_chip_of_wide_weights_alone_learns_no_rule(family: str, tmp_path: Path) -> None:
    wide = own_chip(tmp_path, "weight_bits: [1, 2, 3, 4, 5, 6, 7, 8]", "weight_bits: [16]")
    with pytest.raises(FitError, match="stores weights of 16 bits; rules learn at most 9"):
        rules(short_cue(), wide, ("delta",), hidden=(3,), family=family)


@pytest.mark.parametrize("family", ["leaky", "bim"])
def test_every_shipped_rule_learns_on_both_families(family: str) -> None:
    task = load_task("cue", cues=1, delay_ms=0, longest_delay_ms=0, step_ms=50, group=2, train=2, test=10)
    program = _compiled(task, "loihi2", (3,), 0, family, {})
    for name in shipped_rules():
        assert learn_by_rule(program, name, task).rule == name


def test_a_third_factor_that_cannot_be_made_is_said_before_anything_is_learnt() -> None:
    task = load_task("cue", cues=1, delay_ms=0, longest_delay_ms=0, step_ms=50, group=2, train=2, test=10)
    program = _compiled(task, "loihi2", (3,), 0, "leaky", {})
    for of, said in (
        ("slope", "needs a threshold, and readout_li has none"),
        ("spikes, population: a", "is not in the"),
    ):
        text = f"name: a\nrules:\n  - projections: readout\n    factors: {{u1: {{of: {of}}}}}\n    dw: u1*x0\n"
        file = rules_from(text, "a.yaml")
        with pytest.raises(InputError, match=said):
            RuleMachine(ready_for_rules(program, file, task, 0), file, task, 0)


def test_a_part_of_a_sorted_split_holds_all_classes() -> None:
    split = Split(np.zeros((100, 1, 1), np.int16), np.repeat(np.arange(5), 20))
    part = _part(split, 30)
    assert len(part) == 30 and set(part.y.tolist()) == set(range(5)) and (np.diff(part.y) >= 0).all()
    assert _part(split, 30, ordered=True).y.max() == 1
    assert _part(split, None) is split and _part(split, 100) is split


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int]]) -> None:
    rows = [row_of(k, e, a / 5) for k, (e, a) in enumerate(points)]
    kept = {(r.energy_uj, r.accuracy[-1]) for r in pareto(rows)}
    beaten = {
        (r.energy_uj, r.accuracy[-1])
        for r in rows
        for s in rows
        if (s.energy_uj <= r.energy_uj and s.accuracy[-1] >= r.accuracy[-1])
        and (s.energy_uj, s.accuracy[-1]) != (r.energy_uj, r.accuracy[-1])
    }
    assert kept == {(r.energy_uj, r.accuracy[-1]) for r in rows} - beaten
