"""`bimhw nir run`: a .nir file compiled for a chip, run there in integers, and compared with its float network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bimhw.frontends.nir.check import pick_inputs
from bimhw.frontends.nir.graph import NirGraph
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.shapes import MOST_VALUES
from bimhw.runs.folder import check_run_folder
from simulator.base.errors import InputError
from simulator.base.files import read_npz

if TYPE_CHECKING:
    from bimhw.compiler.compare import Comparison
    from simulator.chips.chip import Chip
    from simulator.program.program import Program


@dataclass(frozen=True, eq=False)
class OnChip:
    """What `run_nir` found.

    Attributes:
        chip: name.
        report: of the compiler.
        comparison: by population (`bimhw.compiler.compare.Comparison.to_json`).
        differ, of: values of the data's ``out`` that the chip does not give; None without ``out``.
        inputs: where the inputs come from.
        notes: what was repaired, assumed or chosen.
    """

    chip: str
    report: Mapping[str, Any]
    comparison: Mapping[str, Any]
    differ: int | None
    of: int | None
    inputs: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        plain = {k: getattr(self, k) for k in ("chip", "differ", "of", "inputs")}
        figures = {k: self.report[k] for k in ("neurons", "synapses", "cores", "cores_of_chip", "resources")}
        return {**plain, **figures, "float": dict(self.comparison), "notes": list(self.notes)}


def run_nir(
    model: Path | str,
    chip: str = "loihi2",
    data: Path | str | None = None,
    *,
    profile: str | None = None,
    dt: float | None = None,
    samples: int = 4,
    steps: int = 50,
    rate: float = 0.3,
    seed: int = 0,
    output: Path | str | None = None,
    engine: str = "compiled",
    **options: Any,
) -> OnChip:
    """Compile a .nir file, run it in integers on the simulated chip, and compare with float.

    Args:
        model: .nir file with one Input.
        chip: name or YAML file.
        data: .npz with x [T, B, ...] of whole numbers and perhaps out; without it, random spikes.
        profile, dt: how the file is run.
        samples, steps, rate, seed: of the random spikes.
        output: run folder to write, for `bimhw energy`, `report` and the others; none by default.
        engine: timing engine of the run folder (compiled, simpy, clocked, bound) or ``none``.
        options: of `bimhw.compile` (bits, state_bits ...).

    Raises:
        InputError: bad files, values that are no whole numbers.
        FitError: a node without a form on a chip, or a chip that the network does not fit.
    """
    from bimhw.compiler.compare import compare
    from bimhw.compiler.pipeline import compile
    from simulator.chips.load import load_chip

    if output is not None:
        check_run_folder(output)
    graph = read_graph(model)
    arrays = read_npz(Path(data)) if data is not None else {}
    if data is None:
        width = math.prod(graph.of_kind("Input")[0].out_shape)
        if samples * steps * width > MOST_VALUES:
            raise InputError(
                f"{graph.source}: {graph.of_kind('Input')[0].where}",
                f"takes {width:,} values: {samples * steps * width:,} random ones, {MOST_VALUES:,} at most",
                "Ask for fewer samples or steps",
            )
        payloads = (np.random.default_rng(seed).random((samples, steps, width)) < rate).astype(np.int32)
        source = f"{samples} random samples of {steps} steps, rate {rate:g}, seed {seed}"
    else:
        payloads, source = _payloads(graph, arrays, str(data)), f"x of {Path(data).name}"
    silicon = load_chip(chip)
    result = compile(model, silicon, calibration=payloads, profile=profile, dt=dt, **options)
    found = compare(result, payloads, silicon.topology)
    outputs = result.float_network.meta["outputs"]
    differ, size = _against(arrays.get("out"), found.sent[outputs[0]]) if "out" in arrays else (None, None)
    notes = result.float_network.meta["notes"]
    if output is not None:
        _write_folder(Path(output), result.program, silicon, found, seed, engine)
    return OnChip(silicon.name, result.report, found.to_json(), differ, size, source, tuple(notes))


def _write_folder(folder: Path, program: Program, chip: Chip, found: Comparison, seed: int, engine: str) -> None:
    from bimhw.runs.folder import write_run
    from bimhw.runs.simulate import ENGINES, joined, run_manifest, timing_figures
    from simulator.timing.run import run_timing

    if engine not in ENGINES:
        raise InputError(f"engine {engine!r}", "is not known", f"Engines: {', '.join(ENGINES)}")
    spikes, activity, samples = joined(found.runs.spikes), found.runs.activity, len(found.runs.spikes)
    result: dict[str, Any] = {"spikes": activity.total("spikes"), **found.to_json()}
    arrays = None
    if engine != "none" and chip.timing is not None:
        timed = run_timing(program, chip, spikes, engine)  # type: ignore[arg-type]  # checked against ENGINES
        activity = replace(activity, sim_time_ns=timed.sim_time_ns)
        arrays = {
            "step_ticks": timed.step_ticks,
            "core_busy": timed.soma_busy_ticks + timed.synapse_busy_ticks,
            "link_busy": timed.link_busy_ticks,
        }
        result |= timing_figures(timed.step_ticks, timed.tick_ns, samples)
    manifest = run_manifest(program, chip, "", samples, seed, engine)
    write_run(folder, program, chip, manifest, result, spikes, activity, arrays)


def _payloads(graph: NirGraph, arrays: Mapping[str, npt.NDArray[Any]], where: str) -> npt.NDArray[np.int32]:
    """x as integer payloads [B, T, n]."""
    inputs = pick_inputs(graph, arrays, where)
    x = next(iter(inputs.values()))
    if (x != np.round(x)).any() or np.abs(x).max(initial=0.0) > 2**15 - 1:
        raise InputError(
            f"{where}: x", "has values that are no whole numbers below 32768", "A chip takes spikes or counts"
        )
    moved: npt.NDArray[np.int32] = x.swapaxes(0, 1).reshape(x.shape[1], x.shape[0], -1).astype(np.int32)
    return moved


def _against(wanted: Any, sent: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Values of out [T, B, ...] that differ from what the output population sends [B, T, n]."""
    got = sent.swapaxes(0, 1)
    if wanted.size != got.size:
        raise InputError("data: out", f"has shape {wanted.shape}, the chip gives {got.shape}")
    return int((got.reshape(wanted.shape) != wanted).sum()), int(wanted.size)
