"""Poor surroundings: no home, no locale, odd names, closed or full outputs, small limits: it works, or it is one message."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bimhw.cli.main import main
from bimhw.evidence.verify.check import Check, Setting, run_check
from bimhw.studies.sweep.evaluate import attempt
from bimhw.studies.sweep.spec import SweepSpec
from simulator.base.interrupts import noted
from simulator.base.reading import boundary
from tests.bimhw.cli.writing_commands import TIMED, WRITING, tree, write_inputs

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "examples" / "digits.safetensors"
BARE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def bimhw(shell: str, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell line in which $bimhw is the command."""
    variables = BARE | {"bimhw": f"{sys.executable} -m bimhw"} | more
    return subprocess.run(["bash", "-c", shell], cwd=folder, env=variables, capture_output=True)


def refused(done: subprocess.CompletedProcess[bytes], words: bytes) -> None:
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and b"Traceback" not in done.stderr and len(done.stderr) < 1500


def test_no_home_no_locale_and_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    named = os.fsencode(tmp_path) + b"/n\xff\xfe.safetensors"
    Path(os.fsdecode(named)).write_bytes(MODEL.read_bytes())
    done = bimhw(r"$bimhw fit $'n\xff\xfe.safetensors'", tmp_path, HOME="/nonexistent", LC_ALL="xx_YY")
    assert done.returncode == 0, done.stderr


def test_outputs_that_are_closed_or_full(tmp_path: Path) -> None:
    full = Path("/dev/full").exists()
    assert (
        bimhw("$bimhw chips >&-" + " 2>/dev/full" * full, tmp_path).returncode == 0
    )  # its next step is lost, not its work
    if full:
        refused(bimhw("$bimhw chips --json >/dev/full", tmp_path), b"standard output")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_too_little_memory_for_the_libraries(tmp_path: Path) -> None:
    refused(bimhw(f"ulimit -v 250000; $bimhw fit {MODEL}", tmp_path), b"memory")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize(
    "error",
    [
        SystemError("error return without exception set"),  # of numba
        RuntimeError("std::bad_alloc"),  # of matplotlib
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),  # of torch
        RuntimeError("can't start new thread"),
    ],
)
def test_c_code_without_memory_is_one_message(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    def without(**_: object) -> None:
        raise error

    monkeypatch.setattr("bimhw.cli.main.cli.main", without)
    if isinstance(error, SystemError):
        with pytest.raises(SystemError):  # memory is not limited: a fault of bimhw
            main(["chips"])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (700_000_000, resource.RLIM_INFINITY))
    with pytest.raises(SystemExit) as ended:
        main(["chips"])
    assert ended.value.code == 2 and "out of memory" in capsys.readouterr().err


INTERRUPTED = """
import os, signal
import bimhw.cli.main as room

class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        [0 for _ in range(1000)]  # the exception is raised, and dropped, in here

def work(**_):
    dropped = Dropped()
    del dropped
    while True:
        pass

room.cli.main = work
room.main()
"""


def test_an_interrupt_that_python_drops_is_taken_again(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=tmp_path, env=BARE, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr.strip()) == (2, b"bimhw: interrupted")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with inputs whose name is no UTF-8; each test goes on in it."""
    folder = tmp_path_factory.mktemp("odd") / os.fsdecode(b"n\xff\xfe " + b"x" * 200)
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with inputs; each test goes on in it."""
    folder = tmp_path_factory.mktemp("limited") / "sound"
    write_inputs(folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("line", WRITING + TIMED, ids=lambda line: "-".join(line.split()[:2]))
def test_every_command_in_poor_surroundings(line: str, odd: Path, tmp_path: Path) -> None:
    """No home, no locale, a folder of an odd name: it works. A full standard output, a small memory: one message."""
    fresh = shutil.copytree(odd, tmp_path / odd.name)  # where its outputs are not yet
    done = bimhw(f"$bimhw {line}", odd, HOME="/nonexistent", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    if Path("/dev/full").exists() and not line.startswith("examples"):
        refused(bimhw(f"$bimhw {line} >/dev/full", fresh), b"standard output")


LIMITS = ("-v 250000", "-v 700000", "-v 1100000", "-n 12", "-n 64", "-f 1")  # KB of memory, open files, KB of a file
ABORTED = (b"cannot allocate memory", b"bad_alloc")  # the libraries of C and C++ end the process themselves
TOGETHER = {"sweep.sqlite", "docs/results/points.jsonl", "sim.ckpt", "learn.ckpt", "train.ckpt", "stream.ckpt"}
"""What keeps the work done so far, of a command that fails too."""


def _limited(line: str, sound: Path, folder: Path, limits: tuple[str, ...]) -> None:
    """Run a line under limits; where it fails, it says one thing, and every file is as before, or as a whole run leaves it."""
    before, free = tree(sound), shutil.copytree(sound, folder / "free")
    assert bimhw(f"$bimhw {line}", free).returncode == 0
    whole = tree(free)
    for limit in limits:
        there = shutil.copytree(sound, folder / limit.replace(" ", ""))
        done = bimhw(f"ulimit {limit}; $bimhw {line}", there)
        if done.returncode:  # a small one is enough for some
            if limit.startswith("-v") and any(words in done.stderr for words in ABORTED):
                said = [line for line in done.stderr.splitlines() if b": at work for " not in line]
                assert len(said) <= 4, done.stderr
            else:
                refused(done, b"")
            after = tree(there)
            changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n) != whole.get(n)}
            work = "sweep.sqlite.work/"  # of finished points
            assert {n for n in changed if not n.endswith(".lock") and not n.startswith(work)} <= TOGETHER, limit


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_small_limits(tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    _limited("chips new mychip.yaml --like loihi2", tmp_path / "sound", tmp_path, ("-n 7", "-f 1"))


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize("line", WRITING + TIMED, ids=lambda line: "-".join(line.split()[:2]))
def test_every_command_under_small_limits(line: str, limited: Path, tmp_path: Path) -> None:
    _limited(line, limited, tmp_path, LIMITS)
    assert bimhw(f"$bimhw {line}", limited).returncode == 0  # leaves what the next commands need


def swallowed() -> object:
    """Raise what code in C may make of a signal that meets it, as matplotlib does."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("incompatible function arguments") from None


def read_swallowed() -> None:
    with boundary("m.npz", "a whole .npz file"):
        swallowed()


def nested(number: int, frame: object) -> None:
    """Stand for the handler that a library has put in place, as Brian2 does."""
    signal.default_int_handler(number, None)


@pytest.mark.parametrize("work", [swallowed, read_swallowed])
@pytest.mark.parametrize("handler", [signal.default_int_handler, nested])
def test_a_signal_that_a_library_turns_into_its_own_error_is_an_interrupt(
    work: Callable[[], object],
    handler: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        monkeypatch.setattr("bimhw.cli.main.cli.main", lambda **_: work())
        with pytest.raises(SystemExit) as ended:
            main(["chips"])
        assert ended.value.code == 2 and capsys.readouterr().err == "bimhw: interrupted\n"
        assert signal.getsignal(signal.SIGINT) is handler
        monkeypatch.setattr("bimhw.cli.main.cli.main", lambda **_: int("x"))
        with pytest.raises(ValueError, match="invalid literal"):  # it is forgotten with the command
            main(["chips"])
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("work", ["sweep", "verify"])
def test_an_interrupted_part_is_no_outcome(work: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A point of a sweep, or a check, that a signal ended has not failed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with noted(signal.SIGINT), pytest.raises(KeyboardInterrupt):
            if work == "verify":
                run_check(Check("a", "b", "c", 0.0, lambda _: float(bool(swallowed()))), Setting(0))
            else:
                monkeypatch.setattr("bimhw.studies.sweep.evaluate.evaluate", lambda *_: swallowed())
                attempt("point", str(tmp_path), SweepSpec("digits", {}), {})
    finally:
        signal.signal(signal.SIGINT, before)
