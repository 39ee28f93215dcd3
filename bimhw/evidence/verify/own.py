"""Checks of a user's own network on the user's own data: its framework, Brian2, mappings and engines."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bimhw.evidence.verify.check import Setting, Skip
from bimhw.tasks.dataset import Dataset, as_dataset
from simulator.base.errors import FitError, InputError

_SAMPLES = 2


def _own(setting: Setting) -> tuple[Path, Dataset]:
    if setting.model is None:
        raise Skip("no network of your own was given (--model FILE --data FILE)")
    return setting.model, as_dataset(setting.data)


def framework(setting: Setting) -> float:
    """Count the recorded values of the network's own framework that differ in the float engine."""
    model, data = _own(setting)
    if model.suffix != ".nir" or (data.out is None and not data.recorded):
        raise Skip(f"{model.name} with {data.name} holds no recorded outputs (a .nir file, and out beside x)")
    from bimhw.frontends.nir import check
    from bimhw.frontends.nir.recorded import recorded_reading

    return float(check(model, data, recorded_reading(model, data, None).profile).differ)


def brian2(setting: Setting) -> float:
    """Count values that differ from Brian2's on the first samples."""
    from bimhw.evidence.crosscheck.check import cross_check

    model, data = _own(setting)
    try:
        found = cross_check(model, data=data, samples=tuple(range(_SAMPLES if setting.full else 1)))
    except (FitError, InputError) as reason:
        raise Skip(str(reason)) from reason
    return float(sum(c.differ for c in found if c.tolerance is not None))


def chip(setting: Setting) -> float:
    """Count the outputs that differ between two mappings, and between the engine by steps and the one by events."""
    from bimhw.compiler.pipeline import compile as compile_model
    from bimhw.runs.answers import DataTrial
    from bimhw.runs.simulate import simulate

    model, data = _own(setting)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for k, (mapping, engine) in enumerate((("auto", "none"), ("blocks", "none"), ("auto", "events"))):
            program = compile_model(model, setting.chip, data=data, mapping=mapping).program
            where = Path(folder) / str(k)
            samples = min(_SAMPLES, DataTrial.of(program, data, None, None).count)
            run = simulate(program, data=data, samples=samples, engine=engine, output=where, seed=setting.seed)  # type: ignore[arg-type]
            runs.append(run.outputs["values"])
    return float(sum(int(np.count_nonzero(other != runs[0])) for other in runs[1:]))
