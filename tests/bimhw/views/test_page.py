"""The report as a page: self-contained, small, and its click path in a headless browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import bimhw
from bimhw.views.parts import run_names
from simulator.base.errors import InputError
from simulator.base.shown import si
from tests.thinned import first

MODEL = Path(__file__).resolve().parents[3] / "examples" / "digits.safetensors"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# runs in the page after its own script, and leaves what it saw as the only text of the body
CLICKS = """<script>
const seen = {};
redraw();
const core = document.querySelector('[data-core="0"]');
core.dispatchEvent(new MouseEvent("click"));
seen.core = document.querySelector(".core").textContent;
seen.chosen = document.querySelectorAll(".chosen").length;
const items = document.querySelector("#energy-by-item table");
const column = () => [...items.tBodies[0].rows].map(r => r.cells[4].textContent);
const head = items.tHead.rows[0].cells[4];
head.click(); seen.down = column(); head.click(); seen.up = column();
seen.csv = csv(items);
seen.hover = items.querySelector("td[title]").title;
const raster_ = document.querySelector(".raster"), buttons = raster_.querySelectorAll("button");
seen.span = [raster_.dataset.span];
buttons[0].click(); seen.span.push(raster_.dataset.span);
buttons[2].click(); seen.span.push(raster_.dataset.span);
const select = raster_.querySelector("select");
select.value = "1"; select.onchange(); seen.spikes = raster_.querySelector(".tip").textContent;
seen.key = document.querySelector(".timeline .key").textContent;
document.querySelector("#theme").click(); seen.theme = document.documentElement.dataset.theme;
seen.articles = document.querySelectorAll("article").length;
const second = document.querySelector('button[data-show="1"]');
if (second) { second.click(); seen.hidden = getComputedStyle(document.querySelector('article[data-run="0"]')).display; }
seen.wide = document.documentElement.scrollWidth - innerWidth;
document.body.textContent = ""; const out = document.createElement("pre"); out.id = "seen";
out.textContent = JSON.stringify(seen); document.body.append(out);
</script></body>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    compiled = bimhw.compile(MODEL, chip="loihi2")
    return bimhw.simulate(compiled.program, model=MODEL, samples=4, output=folder / "run").folder


def test_the_page_is_self_contained_and_always_the_same(run: Path, tmp_path: Path) -> None:
    first, second = (bimhw.report(run, tmp_path / name).read_text(encoding="utf-8") for name in ("a.html", "b.html"))
    assert first == second and len(first) < 3_000_000
    assert "What binds a step" in first and "Steps are synchronised by a barrier of all cores." in first
    assert (
        not re.findall(r"(?:src|href)=\"(?!#)", first)
        and "@import" not in first
        and "http" not in _without_texts(first)
    )
    data = _data(first)
    from bimhw.runs.folder import RunFolder

    folder = RunFolder.open(run)
    assert sum(c["neurons"] for c in data["cores"]) == int((folder.program().core >= 0).sum())
    assert len(data["raster"]["step"]) == folder.spikes().ids.size
    counted = folder.activity().counts["synaptic_events"].by_core[:-1].sum()
    assert sum(c["synops"] for c in data["cores"]) == counted
    costs = bimhw.energy(run)
    by_core = costs.report.by("core")
    assert sum(c["energy_pj"] for c in data["cores"]) == pytest.approx(
        sum(v for k, v in by_core.items() if k != "chip")
    )


def test_a_report_is_a_page_and_no_pdf(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.pdf: must end in \.html"):
        bimhw.report(run, tmp_path / "x.pdf")
    assert not list(tmp_path.iterdir())


def test_two_runs_are_told_apart(run: Path, tmp_path: Path) -> None:
    page = bimhw.report(run, tmp_path / "page.html", beside=run).read_text(encoding="utf-8")
    assert "<h1>run A: digits on loihi2</h1>" in page and "<h1>run B: digits on loihi2</h1>" in page
    assert "cores that hold neurons" in page
    names = [["a", "b"], ["x/run", "y/run"]]
    assert [run_names([tmp_path / n for n in two]) for two in names] == names


def test_outputs_that_spike_have_their_band_in_the_raster(run: Path, tmp_path: Path) -> None:
    """A readout that only integrates has none."""
    network = bimhw.potjans_diesmann(scale=0.005, steps=60)
    compiled = bimhw.compile(network, "loihi2", mapping="blocks")
    own = bimhw.simulate(compiled.program, output=tmp_path / "own").folder
    from bimhw.runs.folder import RunFolder

    for folder, silent in ((own, set()), (run, {"readout"})):
        page = bimhw.report(folder, tmp_path / f"{folder.name}.html").read_text(encoding="utf-8")
        raster = _data(page)["raster"]
        spikes = RunFolder.open(folder).spikes()
        program = RunFolder.open(folder).program()
        assert {b["name"] for b in raster["bands"]} == {p.name for p in program.populations} - silent
        assert sum(b["first"] <= n < b["first"] + b["size"] for n in raster["neuron"] for b in raster["bands"]) == (
            spikes.ids.size
        )


def _data(page: str) -> Any:
    """Return the first run of the data that the page's scripts draw."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])[0]


def _without_texts(page: str) -> str:
    """Return the page without the sources of constants, which are addresses to read, not to load, and the namespace of SVG."""
    return re.sub(r"title=\"[^\"]*\"|<li>.*?</li>|http://www.w3.org/2000/svg", "", page, flags=re.S)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize(("width", "runs"), first(2, [(1280, 1), (390, 2), (1280, 2), (390, 1)]))
def test_the_click_path_in_a_browser(run: Path, tmp_path: Path, runs: int, width: int) -> None:
    page = bimhw.report(run, tmp_path / "page.html", beside=run if runs == 2 else None)
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", CLICKS), encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
               f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert found is not None, done.stdout[-2000:]
    seen = json.loads(found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
    assert seen["core"].startswith("core 0") and "neuron updates" in seen["core"] and seen["chosen"] >= 1
    assert seen["down"] != seen["up"] and sorted(seen["down"]) == sorted(seen["up"])
    assert seen["csv"].startswith('"item","unit","count"') and seen["hover"]
    assert seen["span"][0] == seen["span"][2] == "1.0000" and float(seen["span"][1]) == 0.5
    assert re.match(r"[\d,]+ spikes", seen["spikes"]) and "steps)" in seen["key"]
    assert seen["theme"] in ("dark", "light") and seen["articles"] == runs
    assert seen["wide"] <= 0, "the page is wider than the window"
    if runs == 2:
        assert seen["hidden"] == "none"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_all_of_the_page_is_printed(run: Path, tmp_path: Path) -> None:
    """Links that the page's end and the last column of its widest table are given are in the PDF: neither is cut off."""
    page = bimhw.report(run, tmp_path / "page.html")
    text = page.read_text(encoding="utf-8").replace("</footer>", '<a href="https://example.org/end">.</a></footer>')
    text = text.replace("<th>not included", '<th><a href="https://example.org/wide">not included</a>')
    page.write_text(text, encoding="utf-8")
    pdf = tmp_path / "page.pdf"
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               f"--print-to-pdf={pdf}", page.as_uri()]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    printed = pdf.read_bytes()
    assert b"https://example.org/end" in printed and b"https://example.org/wide" in printed


def test_the_head_of_the_page_says_ranges_and_words(run: Path, tmp_path: Path) -> None:
    """Each joule and second of the tiles and of the answer is that of the comparison's row."""
    page = bimhw.report(run, tmp_path / "a.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    row = bimhw.energy(run).rows()[0]
    assert row.low_us is not None and row.high_us is not None and row.high_uj is not None
    times = f"{si(row.low_us * 1e-6, 's')} to {si(row.high_us * 1e-6, 's')}, {row.time_word}"
    joules = f"{si(row.low_uj * 1e-6, 'J')} to {si(row.high_uj * 1e-6, 'J')}, {row.word}"
    assert f"latency of a sample: {times}<" in page and f"({times})" in page
    assert f"energy of an inference: {joules}<" in page and f"({joules})" in page
    synop = bimhw.energy(run).report.spreads()["dynamic_pj_per_synop"]
    assert f"dynamic, per SynOp: {si(synop.low * 1e-12, 'J')} to {si(synop.high * 1e-12, 'J')}, {synop.word}<" in page
