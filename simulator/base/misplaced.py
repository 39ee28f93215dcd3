"""A run folder or a file of another kind where something else is expected: the message names what it is and what takes it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.near import missing_path

MANIFEST, PROGRAM = "manifest.json", "program.bimhw"
TAKES_A_RUN = "A run folder goes to bimhw energy, report, codesign, table or map --run"
WAY_IN = "Give the module itself from Python, bimhw.compile(module, chip, sample=x), or export it to .nir"
# suffix of files that are not read -> what they are, and the way in
_KINDS = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), ("is a pickle, which runs code when it is read", WAY_IN)),
    **dict.fromkeys(
        (".onnx", ".tflite"), ("holds no spiking neurons: its layers have no state from step to step", WAY_IN)
    ),
    ".pt2": (
        "is a torch.export archive, whose neurons are taken apart into tensor functions",
        f"A ReLU network goes by bimhw convert FILE.pt2 --data X. {WAY_IN}",
    ),
    **dict.fromkeys(
        (".pth", ".ckpt", ".bin"),
        ("is a checkpoint of another framework: weights without the graph that uses them", WAY_IN),
    ),
    ".h5": ("holds layers without spiking neurons", WAY_IN),
    ".keras": ("holds layers without spiking neurons", WAY_IN),
    ".py": ("is a program, which a front end does not run", WAY_IN),
}


def is_run_folder(path: Path | str) -> bool:
    """Return whether a path is a folder that a run wrote."""
    with contextlib.suppress(
        OSError, ValueError
    ):  # no rights, a name too long, a NUL: no run folder that could be read
        return all((Path(path) / name).is_file() for name in (MANIFEST, PROGRAM))
    return False


def check_no_run_folder(path: Path | str) -> None:
    """Raise `InputError` where a program, a model or data is expected, and a path is a run folder."""
    if is_run_folder(path):
        way = f"{TAKES_A_RUN}; its program is {Path(path) / PROGRAM}"
        raise InputError(str(path), "is a run folder, not a program, a model, data or a task", way)


def check_readable_kind(path: Path) -> None:
    """Raise `InputError` with the way in where a model or program is expected, and the suffix is of a kind that is not read."""
    suffix = ".py" if path.suffix.startswith(".py:") else path.suffix.lower()  # FILE.py:FUNCTION, as `convert` takes it
    if suffix in _KINDS:
        raise InputError(str(path), *_KINDS[suffix])


def no_run_folder(path: Path) -> InputError:
    """Return the error for a path that is no folder, where a run folder is expected."""
    way = "Make one with: bimhw simulate x.bimhw"
    if is_run_folder(path.parent):
        way = f"Give its folder: {path.parent}"
    elif path.suffix == ".bimhw" and path.is_file():
        way = f"Run this program: bimhw simulate {path} -o run"
    return missing_path(path, way, "is not a folder of a run")
