"""The examples that ship with the package: a trained network, short scripts, notebooks."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.writing import check_output_folder, os_errors, replacing

CLONE = Path(__file__).resolve().parents[2]
INSTALLED = "share/bimhw/"  # where the wheel puts them, below the environment's folder


def examples(folder: str | Path = "examples", force: bool = False) -> list[Path]:
    """Copy the examples to a folder, so that the commands of the README run as written; notebooks to ``notebooks`` in it.

    Args:
        folder: the folder to fill; made where it is missing.
        force: replace files of other content that have an example's name.

    Returns:
        The files in `folder`, sorted; existing ones are left as they are.

    Raises:
        InputError: a file there has an example's name but other content, or the folder cannot be written.
    """
    target = check_output_folder(folder)
    pairs = [(source, target / source.name) for source in _shipped("examples")]
    if not (target.exists() and target.samefile(pairs[0][0].parent)):  # a clone keeps its own two folders
        pairs += [(source, target / "notebooks" / source.name) for source in _shipped("notebooks")]
    for source, copy in pairs:
        if not force and copy.exists() and copy.read_bytes() != source.read_bytes():
            raise InputError(
                str(copy), "is not the example of this name", "Give another folder, or --force to replace it"
            )
    with os_errors(str(target)):
        for source, copy in pairs:
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not (copy.exists() and copy.samefile(source)):
                with replacing(copy) as part:
                    shutil.copyfile(source, part)
    return [copy for _, copy in pairs]


def _shipped(part: str) -> list[Path]:
    """List the files of ``examples`` or ``notebooks``: those of the clone with this code, else those of the wheel.

    Raises:
        InputError: this installation has neither.
    """
    if (CLONE / "examples" / "digits.safetensors").is_file():
        return sorted(p for p in (CLONE / part).iterdir() if p.is_file())
    try:
        named = importlib.metadata.files("bimhw") or []
    except importlib.metadata.PackageNotFoundError:
        named = []
    files = sorted(Path(str(f.locate())) for f in named if f"{INSTALLED}{part}/" in f.as_posix() and f.suffix != ".pyc")
    if not files:
        raise InputError(part, "are not part of this installation", "Install the wheel of bimhw with pip")
    return files
