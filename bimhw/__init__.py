"""bimhw: hardware co-design for neuromorphic chips.

Everything a user needs is here; names are imported when they are first used, so that `import bimhw` stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> module that defines it
_PUBLIC = {
    "BimhwError": "simulator.base.errors",
    "load_chip": "simulator.chips.load",
    "list_chips": "simulator.chips.listing",
    "energy": "bimhw.costs.compare",
    "compare_silicon": "bimhw.evidence.silicon.compare",
    "SweepSpec": "bimhw.studies.sweep.spec",
    "run_sweep": "bimhw.studies.sweep.run",
    "chip_energy": "energy_models.chip_energy",
    "gpu_cost": "energy_models.gpu",
    "learning_counts": "energy_models.learning",
    "Program": "simulator.program.program",
    "SpikeTrain": "simulator.program.spikes",
    "run": "simulator.function",
    "bench": "bimhw.runs.bench",
    "cross_check": "bimhw.evidence.crosscheck.check",
    "cross_check_learning": "bimhw.evidence.crosscheck.plasticity",
    "run_samples": "simulator.function",
    "run_timing": "simulator.timing.run",
    "run_events": "simulator.events.engine",
    "run_free": "simulator.events.asynchronous",
    "system_mesh": "simulator.timing.system",
    "trace_of": "simulator.trace",
    "Network": "mapping.network",
    "compile": "bimhw.compiler.pipeline",
    "fit": "bimhw.compiler.fit",
    "CompileResult": "bimhw.compiler.pipeline",
    "load_network": "bimhw.frontends",
    "from_brian2": "bimhw.frontends.brian2.network",
    "brian2_input": "bimhw.frontends.brian2.network",
    "check_nir": "bimhw.frontends.nir.check",
    "run_nir": "bimhw.runs.nir",
    "export_nir": "bimhw.frontends.nir.export",
    "read_nir": "bimhw.frontends.nir.read",
    "encode": "bimhw.compiler.decode",
    "decode": "bimhw.compiler.decode",
    "train": "bimhw.learning.api",
    "finetune": "bimhw.learning.finetune",
    "learn": "bimhw.runs.learn",
    "model_of": "bimhw.compiler.readback",
    "load_task": "bimhw.tasks",
    "BimConfig": "bimhw.models.bim.config",
    "BimNet": "bimhw.models.bim.net",
    "load_model": "bimhw.models.io",
    "save_model": "bimhw.models.io",
    "simulate": "bimhw.runs.simulate",
    "demo": "bimhw.studies.demo",
    "write_report": "bimhw.report.build",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bimhw' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
