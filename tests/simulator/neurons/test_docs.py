"""The tutorial of docs/neurons.md is run as it stands, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

import simulator.neurons
from simulator.neurons import base

FOLDER = "simulator.neurons"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "neurons.md"


def _run_page() -> tuple[dict[str, Any], str, str]:
    text = PAGE.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.S))
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, str(PAGE), "exec"), names)
    expected = re.findall(r"```text\n(.*?)```", text, re.S)
    return names, printed.getvalue(), "".join(expected)


def test_the_tutorial_runs_and_prints_what_it_says() -> None:
    names, printed, expected = _run_page()
    try:
        assert printed == expected
        assert names["result"].activity.total("op_add") == 4 * 2 * 100
        _twin_stays_near(names["ALIF"])
    finally:
        base.unregister("alif")


def _twin_stays_near(model: base.NeuronModel) -> None:
    assert model.kernel is not None
    assert model.float_step is not None
    acc = np.random.default_rng(0).integers(0, 90_000, (60, 1, 5)).astype(np.int32)
    params = {"vth": np.full(5, 400_000), "jump": np.full(5, 90_000)}
    rows, words = np.array([params["vth"], params["jump"]], np.int32), np.zeros((2, 5), np.int32)
    state, out = {"v": np.zeros(5), "a": np.zeros(5)}, np.zeros(5, np.int32)
    fired = 0
    for t in range(60):
        model.kernel(acc[t], words, rows, np.zeros(1, np.int32), out, 0, 5, t, 0, 0)
        twin = model.float_step({"in": acc[t, 0].astype(float)}, state, params)
        assert (twin == out).all()
        np.testing.assert_allclose(state["v"], words[0], atol=40)
        fired += int(out.sum())
    assert fired > 10


def _rows(text: str) -> list[tuple[str, ...]]:
    return re.findall(r"^\| `([^`]+)` \|.*\| (.*?) \| (.*?) \| (.*?) \|$", text.split("\n## ")[0], re.M)


def _without_row(text: str) -> list[str]:
    """Return registered models that no row of the page's table names; ``<a, b>`` is one of a, b and ``<N>`` a number."""

    def pattern(name: str) -> str:
        with_lists = re.sub(r"<([^>]*,[^>]*)>", lambda m: "(" + m[1].replace(", ", "|") + ")", name)
        return with_lists.replace("<N>", "[0-9]+") + "(_adaptive)?(_graded)?"

    patterns = [pattern(row[0]) for row in _rows(text)]
    built_in = [n for n in base.names() if getattr(base.get(n).kernel, "__module__", FOLDER).startswith(FOLDER)]
    return [name for name in built_in if not any(re.fullmatch(p, name) for p in patterns)]


def test_every_model_that_the_page_lists_exists_and_fires_as_it_says() -> None:
    rows = [row for row in _rows(PAGE.read_text(encoding="utf-8")) if "<" not in row[0]]
    assert len(rows) == 30
    for name, _, ports, emits in rows:
        model = base.get(name)
        assert ", ".join(model.ports) == ports.replace("-", "")
        assert model.emits == emits.replace("nothing", "none")


def test_every_model_has_a_row_and_a_missing_row_is_noticed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert _without_row(text) == []
    for name in ("lif", "s6_<euler, zoh>_<delta, exp, alpha>_n<N>", "clamp_fuse"):
        lines = [line for line in text.splitlines() if not line.startswith(f"| `{name}` |")]
        assert _without_row("\n".join(lines)), name


def test_every_file_of_the_folder_registers_a_model() -> None:
    folder = Path(simulator.neurons.__file__).parent
    documented = {"lif.py", "if_.py", "li.py", "input.py", "izhikevich.py", "loihi_cuba.py", "spike_sampler.py"}
    assert documented <= {p.name for p in folder.glob("*.py")}
    for file in documented:
        assert base.get(file.removesuffix(".py").removesuffix("_")).name
