"""The wheel and the sdist are whole: in an empty folder the README and the guides run as written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from bimhw.studies.examples import examples
from simulator.base.errors import InputError
from tests.test_docs import PAGES, ROOT, python_of, shell_of


def test_examples_are_copied_once_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    files = examples(folder)
    shipped = [p for part in ("examples", "notebooks") for p in sorted((ROOT / part).iterdir()) if p.is_file()]
    assert [f.name for f in files] == [p.name for p in shipped]
    assert (folder / "notebooks" / "1_start.py").is_file()
    assert examples(folder) == files
    (folder / "quickstart.py").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"quickstart\.py"):
        examples(folder)
    assert (folder / "quickstart.py").read_text(encoding="utf-8") == "mine"
    examples(folder, force=True)
    assert (folder / "quickstart.py").read_bytes() == (ROOT / "examples" / "quickstart.py").read_bytes()


def test_examples_of_the_clone_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert all(f.is_file() for f in examples())


# Packages of an extra are hidden from a page that does not name the extra: a plain install lacks them.
EXTRAS = {"frame": "pandas", "nir": "nir h5py", "brian2": "brian2", "search": "optuna", "trace": "vcd", "gpu": "pynvml"}
HIDDEN = """
import os
from importlib.machinery import PathFinder

found = PathFinder.find_spec

def find_spec(name, path=None, target=None):  # torch asks for specs, too: a package that is missing has none
    return None if name.partition(".")[0] in os.environ.get("HIDDEN", "").split() else found(name, path, target)

PathFinder.find_spec = staticmethod(find_spec)
"""


def hidden_from(text: str) -> dict[str, str]:
    """Return the environment variable that hides the packages of the extras that a text does not name."""
    named = set(",".join(re.findall(r"bimhw\[([a-z0-9,]+)\]", text)).split(","))
    return {"HIDDEN": " ".join(packages for extra, packages in EXTRAS.items() if extra not in named)}


# A PYTHONPATH at the tree of the tests would hide whether the wheel is whole, and pip would find bimhw there.
BARE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tracked files: no wheel takes up what an older build left, and none leaves anything here."""
    copy = tmp_path_factory.mktemp("source")
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")[:-1]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel alone; what it depends on comes from the environment of the tests."""
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*pip, str(place), str(source)], check=True, env=BARE)
    venv.create(place / "venv", with_pip=True)
    python = place / "venv" / "bin" / "python"
    (wheel,) = place.glob("bimhw-*.whl")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True, env=BARE)
    ours = Path(
        subprocess.check_output([str(python), "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    theirs = [p for p in sys.path if p.endswith("site-packages")]
    (ours / "dependencies.pth").write_text("\n".join(["import hidden", *theirs]), encoding="utf-8")
    (ours / "hidden.py").write_text(HIDDEN, encoding="utf-8")
    return python


# Walk a page in one process, as one that starts anew for each command imports torch each time.
WALK = """
import contextlib, io, json, pathlib, shlex, subprocess, bimhw
from bimhw.cli.main import main
assert "site-packages" in bimhw.__file__
bimhw.examples()
python, shell = json.loads(pathlib.Path("page.json").read_text())
exec(python, {"__name__": "__main__"})
for line in shell:
    if not line.startswith("bimhw "):
        subprocess.run(["bash", "-c", line], check=True)
        continue
    command, _, file = line.partition(" > ")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            main(shlex.split(command, comments=True)[1:])
    except SystemExit as end:
        assert end.code == 0, line
    if file:
        pathlib.Path(file).write_text(printed.getvalue())
"""


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_page_runs_from_the_wheel(page: Path, installed: Path, tmp_path: Path) -> None:
    environment = BARE | {"OMP_NUM_THREADS": "1", "PATH": f"{installed.parent}:{os.environ['PATH']}"}
    environment |= hidden_from(page.read_text(encoding="utf-8"))
    (tmp_path / "page.json").write_text(json.dumps([python_of(page), shell_of(page)]), encoding="utf-8")
    done = subprocess.run(
        [str(installed), "-W", "ignore", "-c", WALK], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "notebooks").glob("*.py")))
def test_a_notebook_runs_from_the_wheel(name: str, installed: Path, tmp_path: Path) -> None:
    environment = BARE | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"} | hidden_from("")
    for command in ([str(installed.parent / "bimhw"), "examples"], [str(installed), f"examples/notebooks/{name}"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.long
def test_the_source_archive_holds_all_that_is_tracked(source: Path, tmp_path: Path) -> None:
    build = "import setuptools.build_meta as b, sys; b.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, env=BARE, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split()
    hidden = {name for name in tracked if name.startswith(".")}
    assert set(tracked) - hidden <= inside
