"""bimhw: hardware co-design for neuromorphic chips.

Everything a user needs is here; names are imported when they are first used, so that `import bimhw` stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> module that defines it
_PUBLIC = {
    "BimhwError": "simulator.errors",
    "load_chip": "simulator.chip",
    "list_chips": "bimhw.chips",
    "energy": "bimhw.costs",
    "compare_silicon": "bimhw.silicon.compare",
    "SweepSpec": "bimhw.sweep.spec",
    "run_sweep": "bimhw.sweep.run",
    "chip_energy": "energy_models.chip_energy",
    "gpu_cost": "energy_models.gpu",
    "learning_counts": "energy_models.learning",
    "Program": "simulator.program",
    "SpikeTrain": "simulator.spikes",
    "run": "simulator.function",
    "bench": "bimhw.plain_bench",
    "cross_check": "bimhw.crosscheck.check",
    "cross_check_learning": "bimhw.crosscheck.plasticity",
    "run_samples": "simulator.function",
    "run_timing": "simulator.timing.run",
    "run_events": "simulator.simpy_engine",
    "run_free": "simulator.simpy_free",
    "system_mesh": "simulator.system",
    "trace_of": "simulator.trace",
    "Network": "mapping.network",
    "compile": "bimhw.compiler.pipeline",
    "fit": "bimhw.compiler.fitting",
    "CompileResult": "bimhw.compiler.pipeline",
    "load_network": "bimhw.frontends",
    "from_brian2": "bimhw.frontends.brian2_network",
    "brian2_input": "bimhw.frontends.brian2_network",
    "check_nir": "bimhw.frontends.nir.check",
    "run_nir": "bimhw.frontends.nir.onchip",
    "export_nir": "bimhw.frontends.nir.export",
    "read_nir": "bimhw.frontends.nir.graph",
    "encode": "bimhw.compiler.decode",
    "decode": "bimhw.compiler.decode",
    "train": "bimhw.learning.api",
    "finetune": "bimhw.learning.quantised",
    "learn": "bimhw.learning.on_chip",
    "model_of": "bimhw.compiler.readback",
    "load_task": "bimhw.tasks",
    "BimConfig": "bimhw.models.config",
    "BimNet": "bimhw.models.net",
    "load_model": "bimhw.models.io",
    "save_model": "bimhw.models.io",
    "simulate": "bimhw.simulation",
    "demo": "bimhw.demonstration",
    "write_report": "bimhw.report.build",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bimhw' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
