"""The whole way, small: every file appears, the page is whole and stands alone, the figures fit each other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bimhw.cli.main import cli
from bimhw.runs.folder import RunFolder
from bimhw.studies.demo import demo
from bimhw.views.build import render
from bimhw.views.svg import ticks
from simulator.base.errors import BimhwError
from simulator.base.shown import si


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["demo", "--epochs", "1", "--samples", "5", "--json", "-o", str(folder / "d")]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    value: dict[str, object] = json.loads(done.stdout)
    return value


def test_figures_fit_the_files(figures: dict[str, object]) -> None:
    run = RunFolder.open(str(figures["run"]))
    assert run.result["samples"] == 5
    assert figures["simulation"] == run.result
    energy = figures["energy"]
    assert isinstance(energy, dict)
    per_sample = energy["total_pj"] / 5 / 1e6
    assert energy["total_uj_per_inference"] == pytest.approx(per_sample)
    rows = figures["per_sample"]
    assert isinstance(rows, dict)
    assert rows["loihi2 inference"]["uj"] == pytest.approx(per_sample)
    dense, best = (rows[f"loihi2 inference + learning (RTRL {form}, counted)"]["uj"] for form in ("dense", "SEQ"))
    assert dense > best > 1.1 * per_sample  # the time of learning is charged
    losing = figures["verdict"]
    assert isinstance(losing, list) and losing[0].startswith("LOSES: loihi2 inference")


@pytest.mark.parametrize(
    ("asked", "message"),
    [({"chip": "no-such"}, "no-such"), ({"chip": "truenorth"}, "bim_d"), ({"gpu": "no-such"}, "no-such")],
)
def test_what_cannot_be_costed_is_refused_before_the_training(
    tmp_path: Path, asked: dict[str, str], message: str
) -> None:
    with pytest.raises(BimhwError, match=message):
        demo(tmp_path / "demo", progress=lambda n: pytest.fail("it trained"), **asked)
    assert not (tmp_path / "demo").exists()


def test_page_stands_alone(figures: dict[str, object]) -> None:
    page = Path(str(figures["report"])).read_text(encoding="utf-8")
    assert page.count("<svg") - page.count('<svg class="phone"') == 7
    assert not re.search(r"<script [^>]*src|<link |\bsrc=|\bfetch\(|XMLHttpRequest|\bimport\(", page)
    assert set(re.findall(r"https?://[^\"\s<]*", page)) == {"http://www.w3.org/2000/svg"}  # a name, nothing is loaded
    for part in (
        "Function on the chip",
        "Spikes",
        "Placement on the chip",
        "Time of each step",
        "Timeline",
        "What binds a step",
        "compared with a GPU",
        "Energy of learning compared with BPTT",
        "Energy by item",
    ):
        assert part in page
    assert "unknown" in page  # what was never published is said


def test_page_is_reproducible(figures: dict[str, object]) -> None:
    run = RunFolder.open(str(figures["run"]))
    assert render(run) == Path(str(figures["report"])).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "text"), [(1.2e-6, "1.2 µJ"), (0.0, "0 J"), (999.9, "1 kJ"), (1234.0, "1.23 kJ"), (3e-15, "3 fJ")]
)
def test_si_prefixes(value: float, text: str) -> None:
    assert si(value, "J") == text


def test_ticks_are_round() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(0, 0.37, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
