"""The figures of a compilation, JSON-able."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.data import CalibrationData
from bimhw.compiler.lower.network import LoweredNetwork
from mapping.limits import unchecked
from mapping.mapper import MappedNetwork
from mapping.usage import Resource
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.program.axons import axon_table
from simulator.program.program import Program


def compile_report(
    mapped: MappedNetwork,
    chip: Chip,
    lowered: LoweredNetwork,
    calibration: Calibration,
    data: CalibrationData,
) -> dict[str, Any]:
    """Return the figures of a program on its chip."""
    program = mapped.program
    return mapped_figures(mapped, chip, data.assumed) | {
        "sample_steps": program.facts.sample_steps,
        "chip_steps": program.facts.chip_steps,
        "populations": [_population(program, lowered, calibration, p.name) for p in program.populations],
        "projections": [
            {
                "name": q.name,
                "synapses": q.n_synapses,
                "layout": q.layout,
                "weight_bits": q.weight_bits,
                "delay": q.delay,
                "relative_rms_weight_error": lowered.weight_errors.get(q.name.removesuffix(".relayed"), 0.0),
                "relative_rms_row_error": lowered.row_errors.get(q.name.removesuffix(".relayed"), 0.0),
            }
            for q in program.projections
        ],
        "calibration": data.source,
    }


def mapped_figures(mapped: MappedNetwork, chip: Chip, assumed: str = "") -> dict[str, Any]:
    """Return the figures of a mapped program, whatever it was made from; `assumed` is a note of the calibration."""
    program, resources = mapped.program, mapped.resources
    on_chip = program.core[program.core >= 0]
    notes = [*program.facts.notes, *([assumed] if assumed else [])]
    notes += [f"{name}: no published limit, not checked" for name in unchecked(resources)]
    return {
        "chip": chip.name,
        "program_sha256": program.sha256(),
        "model_sha256": program.facts.model_sha256 or "",
        "neurons": int(on_chip.size),
        "synapses": sum(q.n_synapses for q in program.projections),
        "axons": int(axon_table(program).dst.size),
        "cores": len(set(on_chip.tolist())),
        "cores_of_chip": chip.n_cores,
        "resources": resource_figures(resources),
        "mapping": dict(mapped.figures),
        "notes": notes,
    }


def resource_figures(resources: Sequence[Resource]) -> list[dict[str, Any]]:
    """Return the use of each resource, and the load of the fullest core."""
    return [_resource(r) for r in resources]


def _resource(r: Resource) -> dict[str, Any]:
    total = None if r.name == "state_bytes_per_neuron" else int(r.used.sum())
    return {"name": r.name, "worst_core": r.worst, "limit": r.limit_there, "load": r.load, "total": total}


def _population(program: Program, lowered: LoweredNetwork, calibration: Calibration, name: str) -> dict[str, Any]:
    p = program.population(name)
    rates = calibration.rates.get(name.removesuffix(".relay"), np.zeros(0))
    return {
        "name": name,
        "model": p.model,
        "neurons": p.size,
        "layer": p.layer,
        "on_chip": p.model != INPUT_MODEL,
        "rate": float(rates.mean()) if rates.size else 0.0,
        "formats": dict(lowered.fracs.get(name, {})),
    }
