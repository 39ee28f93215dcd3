"""The examples that ship with the package: a trained network and short scripts."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.writing import check_output_folder, os_errors, replacing

CLONE = Path(__file__).resolve().parents[2] / "examples"
INSTALLED = "share/bimhw/examples/"  # where the wheel puts them, below the environment's folder


def examples(folder: str | Path = "examples", force: bool = False) -> list[Path]:
    """Copy the examples to a folder, so that the commands of the README run as written.

    Args:
        folder: the folder to fill; made where it is missing.
        force: replace files of other content that have an example's name.

    Returns:
        The examples in `folder`, sorted; files that are there already are left as they are.

    Raises:
        InputError: a file there has an example's name but other content, or the folder cannot be written.
    """
    target = check_output_folder(folder)
    pairs = [(source, target / source.name) for source in _shipped()]
    for source, copy in pairs:
        if not force and copy.exists() and copy.read_bytes() != source.read_bytes():
            raise InputError(
                str(copy), "is not the example of this name", "Give another folder, or --force to replace it"
            )
    with os_errors(str(target)):
        target.mkdir(parents=True, exist_ok=True)
        for source, copy in pairs:
            if not (copy.exists() and copy.samefile(source)):
                with replacing(copy) as part:
                    shutil.copyfile(source, part)
    return [copy for _, copy in pairs]


def _shipped() -> list[Path]:
    """List the files of the clone this code lies in, else those that the wheel installed.

    Raises:
        InputError: this installation has neither.
    """
    if (CLONE / "digits.safetensors").is_file():
        return sorted(p for p in CLONE.iterdir() if p.is_file())
    try:
        named = importlib.metadata.files("bimhw") or []
    except importlib.metadata.PackageNotFoundError:
        named = []
    files = sorted(Path(str(f.locate())) for f in named if INSTALLED in f.as_posix())
    if not files:
        raise InputError("examples", "are not part of this installation", "Install the wheel of bimhw with pip")
    return files
