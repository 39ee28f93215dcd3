"""Look at an installation: versions, clashing module names, caches, threads, extras, GPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from pathlib import Path
from typing import Literal

import msgspec
from packaging.requirements import Requirement

from simulator.base.kernel_cache import kernel_cache

Health = Literal["ok", "note", "problem"]
PACKAGES = ("bimhw", "simulator", "mapping", "energy_models")
ROOT = Path(__file__).resolve().parents[2]


class Finding(msgspec.Struct, frozen=True):
    """One line of the examination.

    Attributes:
        what: the thing looked at.
        health: ``ok``, ``note`` (works, but worth knowing) or ``problem``.
        found: what is there.
        way_out: what to do about it; empty where nothing is to be done.
    """

    what: str
    health: Health
    found: str
    way_out: str = ""


def doctor() -> list[Finding]:
    """Examine this installation; a finding of health ``problem`` will break something."""
    return [_python(), *_clashes(), *_requirements(), *_extras(), _cache(), _threads(), _gpu()]


def _python() -> Finding:
    return Finding("Python", "ok", f"{platform.python_version()}, {sys.executable}")


def _clashes() -> list[Finding]:
    """Find a user's simulator.py or mapping/ that hides ours: all four packages must come from one place."""
    out = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None:
            out.append(Finding(f"package {name}", "problem", "is not importable", "Install bimhw again"))
        elif origin.parent.parent != ROOT:
            out.append(
                Finding(f"package {name}", "problem", f"comes from {origin}, not from {ROOT}", "Rename that file")
            )
        else:
            out.append(Finding(f"package {name}", "ok", str(origin.parent)))
    return out


def _requirements() -> list[Finding]:
    return [_requirement(r) for r in _required() if r.marker is None or (r.marker.evaluate() and not _extra_of(r))]


def _requirement(wanted: Requirement) -> Finding:
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(wanted.name, "problem", "is missing", f'pip install "{wanted.name}{wanted.specifier}"')
    if wanted.specifier.contains(found, prereleases=True):
        return Finding(wanted.name, "ok", found)
    return Finding(wanted.name, "problem", found, f'pip install "{wanted.name}{wanted.specifier}"')


def _extras() -> list[Finding]:
    """Check each extra: one line, complete or what it lacks."""
    named: dict[str, list[Requirement]] = {}
    for wanted in _required():
        if (extra := _extra_of(wanted)) and wanted.marker is not None and wanted.marker.evaluate({"extra": extra}):
            named.setdefault(extra, []).append(wanted)
    return [
        _extra(extra, [w.name for w in _leaves(wanted, named) if not _installed(w.name)])
        for extra, wanted in sorted(named.items())
    ]


def _leaves(wanted: list[Requirement], named: dict[str, list[Requirement]]) -> list[Requirement]:
    """Replace an extra that names others, as ``bimhw[all]`` does, by what those require."""
    plain = [w for w in wanted if not w.extras]
    return plain + [leaf for w in wanted for extra in sorted(w.extras) for leaf in _leaves(named.get(extra, []), named)]


def _extra(extra: str, missing: list[str]) -> Finding:
    if missing:
        return Finding(f"extra {extra}", "note", f"lacks {', '.join(missing)}", f'pip install "bimhw[{extra}]"')
    return Finding(f"extra {extra}", "ok", "complete")


def _required() -> list[Requirement]:
    return [Requirement(text) for text in importlib.metadata.requires("bimhw") or []]


def _extra_of(wanted: Requirement) -> str:
    match = re.search(r'extra == "([^"]+)"', str(wanted.marker))
    return match[1] if match else ""


def _cache() -> Finding:
    folder = kernel_cache()
    if folder.name.startswith("bimhw-kernels-"):
        return Finding(
            "kernel cache", "note", f"{folder} (temporary: compiled again after a restart)", "Set NUMBA_CACHE_DIR"
        )
    return Finding("kernel cache", "ok", str(folder))


def _threads() -> Finding:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    given = [f"{n}={os.environ[n]}" for n in names if n in os.environ]
    return Finding("threads", "ok", f"{os.cpu_count()} cores; {', '.join(given) or 'no limit in the environment'}")


def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("GPU", "problem", "torch is missing", "pip install torch")
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "note", "none that torch can use: GPU figures are bounds and estimates, not measured")
    return Finding("GPU", "ok", torch.cuda.get_device_name(0))


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
