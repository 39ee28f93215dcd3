"""Run damaged inputs through every reader: each ends well or in one short `BimhwError`, in time, without a crash.

``python -m tests.fuzz --cases 20000 --seed 1`` prints each failure with what makes it again (reader, seed, number) and
keeps the damaged file. A case runs in a child process; a crash or a hang costs that case and not the run.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from simulator.base.errors import BimhwError, InputError
from simulator.base.reading import flush_c
from tests.fuzz.mutate import damage
from tests.fuzz.reader import Reader
from tests.fuzz.readers import build

SECONDS = 5.0  # of CPU
MEGABYTES = 500
LONGEST = 1500  # characters of a message
_BATCH = 100


@dataclass(frozen=True)
class Failure:
    """A case that ended in anything but success or one short message."""

    reader: str
    seed: int
    number: int
    what: str


def damaged(reader: Reader, seed: int, number: int) -> tuple[str, bytes]:
    """Return the name and the new content of the file that a case damages: a function of its arguments alone."""
    random = Random(f"{reader.name}|{seed}|{number}")
    name = random.choice(sorted(reader.files))
    kinds = reader.mutations.get(Path(name).suffix, reader.mutations.get("", (damage,)))
    return name, random.choice(kinds)(reader.files[name], random)


def outcome(reader: Reader, folder: Path, seed: int, number: int, sound: object) -> str:
    """Run one case in this process; return "read", "refused", or what went wrong."""
    name, data = damaged(reader, seed, number)
    path = folder / name
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reader.read(folder)
    except BimhwError as error:
        text = str(error)
        fine = len(text) <= LONGEST and all(c.isprintable() or c == "\n" for c in text)
        return "refused" if fine else f"message of {len(text)} characters: {text[:200]!r}"
    except BaseException as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:150]} ({at.filename}:{at.lineno})"
    finally:
        path.write_bytes(reader.files[name])
    return "changed content accepted" if reader.hashed and found != sound else "read"


def fuzz(scratch: Path, cases: int, seed: int, only: str = "") -> tuple[Counter[str], list[Failure]]:
    """Spread so many cases over all readers (or those whose name holds `only`); return the outcomes and the failures."""
    counts: Counter[str] = Counter()
    failures: list[Failure] = []
    for _ in fuzzing(scratch, cases, seed, only, counts, failures):
        pass
    return counts, failures


def fuzzing(
    scratch: Path, cases: int, seed: int, only: str, counts: Counter[str], failures: list[Failure]
) -> Iterator[None]:
    """Fuzz in rounds of one batch for each reader, so that an interrupted run has met all of them; yield after each round."""
    readers = [r for r in build(scratch) if only in r.name]
    sound = []
    for k, reader in enumerate(readers):
        folder = scratch / f"reader-{k}"
        for name, data in reader.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        sound.append(_sound(reader, folder))
    shares = [cases // len(readers) + (k < cases % len(readers)) for k in range(len(readers))]
    for start in range(0, max(shares, default=0), _BATCH):
        for k, reader in enumerate(readers):
            at, stop = start, min(shares[k], start + _BATCH)
            while at < stop:
                at = _batch(reader, scratch / f"reader-{k}", seed, range(at, stop), sound[k], counts, failures)
        yield


def _sound(reader: Reader, folder: Path) -> object:
    try:
        return reader.read(folder)
    except BimhwError as error:
        if not reader.name.startswith("silicon"):
            raise AssertionError(f"{reader.name}: the whole input is refused") from error
        return None  # an input of no known kind is one of them: what makes it another kind is found by damage
    finally:
        for name, data in reader.files.items():
            (folder / name).write_bytes(data)


def _batch(
    reader: Reader,
    folder: Path,
    seed: int,
    numbers: range,
    sound: object,
    counts: Counter[str],
    failures: list[Failure],
) -> int:
    """Run cases in a forked child; return the number of the next case."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child only reads files
        child = os.fork()
    if child == 0:
        os.close(read_end)
        _child(reader, folder, seed, numbers, sound, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        lines = pipe.read().decode("utf-8", "replace").splitlines()
    _, status = os.waitpid(child, 0)
    for number, line in zip(numbers, lines, strict=False):
        counts[line if line in ("read", "refused") else "failed"] += 1
        if line not in ("read", "refused"):
            failures.append(Failure(reader.name, seed, number, line))
    done = numbers.start + len(lines)
    if done < numbers.stop:  # the child died in a case
        ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        ended += f": more than {SECONDS:g} s of CPU" * (ended == "SIGPROF")
        counts["failed"] += 1
        failures.append(Failure(reader.name, seed, done, f"ended by {ended}"))
        for name, data in reader.files.items():
            (folder / name).write_bytes(data)
        done += 1
    return done


def apart(read: Callable[[], object]) -> tuple[str, float, float]:
    """Read in a forked child; return how it ended, its CPU seconds and what its memory grew by [MB]."""
    source, sink = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as above
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 20 * SECONDS)
        warnings.simplefilter("ignore")
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            read()
            outcome = "read"
        except InputError as error:
            outcome = "refused" if len(str(error)) < LONGEST else f"a message of {len(str(error))} characters"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {str(error)[:300]}"
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        os.write(sink, json.dumps([outcome, time.process_time() - began, grown]).encode())
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    if not data:
        return "the reader crashed, or waited without end", 0.0, 0.0
    outcome, seconds, grown = json.loads(data)
    return str(outcome), float(seconds), float(grown)


def _child(reader: Reader, folder: Path, seed: int, numbers: range, sound: object, pipe: int) -> None:
    heard = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the child lasts
    for descriptor in (1, 2):
        os.dup2(heard.fileno(), descriptor)
    for kind in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(kind, signal.SIG_DFL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in numbers:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, 20 * SECONDS)  # of waiting, on a machine that does other things too
        line = outcome(reader, folder, seed, number, sound)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        flush_c()
        if heard.tell():
            heard.seek(0)
            line = f"printed: {heard.read(200)!r} ({line})"
            heard.seek(0)
            heard.truncate()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if grown > MEGABYTES:
            line = f"took {grown:.0f} MB ({line})"
        os.write(pipe, (" ".join(line.split()) + "\n").encode("utf-8", "backslashreplace"))
        if grown > MEGABYTES:
            before += int(grown * 1024)
    os._exit(0)


def main(arguments: list[str] | None = None) -> int:
    """Fuzz from the command line; the exit code says whether all went well."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="by default a new one")
    parser.add_argument("--only", default="", help="readers whose name holds this text")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="folder for inputs that failed")
    given = parser.parse_args(arguments)
    seed = int.from_bytes(os.urandom(4), "little") if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        counts: Counter[str] = Counter()
        failures: list[Failure] = []
        for _ in fuzzing(Path(scratch), given.cases, seed, given.only, counts, failures):
            print(", ".join(f"{n:,} {what}" for what, n in sorted(counts.items())), flush=True)
        _keep(failures, given.corpus, Path(scratch))
    return 1 if failures else 0


def _keep(failures: list[Failure], corpus: Path, scratch: Path) -> None:
    readers = {r.name: r for r in build(scratch)} if failures else {}
    for f in failures:
        name, data = damaged(readers[f.reader], f.seed, f.number)
        target = corpus / f"{f.reader.replace(' ', '-')}-{f.seed}-{f.number}" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        print(f"FAILED {f.reader} seed {f.seed} case {f.number}: {f.what}\n  kept as {target}", file=sys.stderr)
