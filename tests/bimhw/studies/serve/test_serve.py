"""The served folder: a list that survives broken runs, pages by the list's names alone, sweeps as they run."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

import bimhw
from bimhw.studies.serve.listing import list_folder
from bimhw.studies.serve.server import server
from bimhw.studies.sweep.store import Store
from simulator.base.errors import InputError
from simulator.base.locks import held, holder

ROOT = Path(__file__).resolve().parents[4]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    model = ROOT / "examples" / "digits.safetensors"
    for chip in ("loihi2", "generic"):
        program = bimhw.compile(model, chip=chip, mapping="blocks").program
        bimhw.simulate(program, model=model, samples=2, output=place / chip / "run <b>")
    broken = place / "broken"
    shutil.copytree(place / "generic" / "run <b>", broken)
    (broken / "result.json").write_text("{", encoding="utf-8")
    with Store(place / "sweep.sqlite") as store:
        store.plan(36)
        store.put("a", {"bits": 8}, {"status": "done", "result": {"accuracy": 0.5, "total_uj": 2.0}})
        store.put("b", {"bits": 4}, {"status": "failed", "reason": "does not fit"})
    (place / "other.sqlite").write_bytes(b"no database")
    return place


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with server(folder) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield http.server_port
        http.shutdown()
        thread.join()


def get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_list_names_what_is_there_and_what_is_broken(folder: Path) -> None:
    found = list_folder(folder)
    assert [r.path for r in found.runs] == ["broken", "generic/run <b>", "loihi2/run <b>"]
    assert [bool(r.problem) for r in found.runs] == [True, False, False]
    assert found.runs[2].chip == "loihi2" and found.runs[2].samples == 2 and found.runs[2].latency_us is not None
    assert [(s.path, s.done, s.failed, s.planned, bool(s.problem)) for s in found.sweeps] == [
        ("other.sqlite", 0, 0, 0, True),
        ("sweep.sqlite", 1, 1, 36, False),
    ]


def test_a_running_sweep_is_named(folder: Path) -> None:
    assert holder(folder / "sweep.sqlite") is None
    with held(folder / "sweep.sqlite"):
        assert "process" in str(list_folder(folder).sweeps[1].running)
    assert list_folder(folder).sweeps[1].running is None


def test_pages(port: int) -> None:
    status, page = get(port, "/")
    assert status == 200 and "<script>" in page
    status, text = get(port, "/list.json")
    assert status == 200 and len(json.loads(text)["runs"]) == 3
    status, report = get(port, "/report?run=loihi2/run%20%3Cb%3E")
    assert status == 200 and "digits on loihi2" in report and "run <b>" not in report
    status, both = get(port, "/report?run=loihi2/run%20%3Cb%3E&beside=generic/run%20%3Cb%3E")
    assert status == 200 and "side by side" in both


@pytest.mark.parametrize(
    "path", ["/nothing", "/report", "/report?run=../..", "/report?run=/etc", "/report?run=broken", "/report?run=loihi2"]
)
def test_what_is_no_page_is_refused(port: int, path: str) -> None:
    assert get(port, path)[0] == 404


def test_another_name_of_this_machine_is_refused(port: int) -> None:
    assert get(port, "/list.json", host="evil.example:80")[0] == 403


def test_bad_folders_and_ports(tmp_path: Path, port: int) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        server(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be used"):
        server(tmp_path, port)


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_the_list_in_a_browser(port: int) -> None:
    page = browsed(port, "")
    assert "3 of 3 runs, 2 of 2 sweeps" in page and "<progress" not in page
    assert 'href="/report?run=loihi2%2Frun%20%3Cb%3E"' in page and "does not fit" in page
    assert page.index("does not fit") < page.index("50.0 %"), "points in the order of their axes: 4 bits before 8"


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_the_filter_is_in_the_address(port: int) -> None:
    page = browsed(port, "#LOIHI2%20digits")
    assert "1 of 3 runs, 0 of 2 sweeps" in page and "generic" not in page.split("<script>")[0]


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_running_sweep_shows_its_progress(folder: Path, port: int) -> None:
    with held(folder / "sweep.sqlite"):
        page = browsed(port, "")
    assert '<progress max="36" value="2" aria-label="points of sweep.sqlite">' in page and "running: process" in page


def browsed(port: int, rest: str) -> str:
    """Return the list as Chromium has it after its scripts."""
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1500", "--dump-dom"]
    return subprocess.run(
        [BROWSER, *options, f"http://127.0.0.1:{port}/{rest}"], capture_output=True, text=True, timeout=120, check=True
    ).stdout
