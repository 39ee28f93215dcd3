"""bimhw: hardware co-design for neuromorphic chips.

Everything a user needs is here. Names are imported when they are first used, so that `import bimhw` stays light;
type checkers read the imports below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bimhw.compiler.decode import decode as decode
    from bimhw.compiler.decode import encode as encode
    from bimhw.compiler.fit import fit as fit
    from bimhw.compiler.pipeline import CompileResult as CompileResult
    from bimhw.compiler.pipeline import compile as compile
    from bimhw.compiler.readback import model_of as model_of
    from bimhw.costs.ann import run_converted as run_converted
    from bimhw.costs.compare import energy as energy
    from bimhw.evidence.crosscheck.check import cross_check as cross_check
    from bimhw.evidence.crosscheck.plasticity import cross_check_learning as cross_check_learning
    from bimhw.evidence.doctor import doctor as doctor
    from bimhw.evidence.silicon.compare import compare_silicon as compare_silicon
    from bimhw.evidence.verify.rtl.check import replay_rtl as replay_rtl
    from bimhw.frontends import load_network as load_network
    from bimhw.frontends.ann.convert import convert as convert
    from bimhw.frontends.brian2.network import brian2_input as brian2_input
    from bimhw.frontends.brian2.network import from_brian2 as from_brian2
    from bimhw.frontends.nir.check import check_nir as check_nir
    from bimhw.frontends.nir.export import export_nir as export_nir
    from bimhw.frontends.nir.read import read_nir as read_nir
    from bimhw.learning.api import train as train
    from bimhw.learning.finetune import finetune as finetune
    from bimhw.models.bim.config import BimConfig as BimConfig
    from bimhw.models.bim.net import BimNet as BimNet
    from bimhw.models.io import load_model as load_model
    from bimhw.models.io import save_model as save_model
    from bimhw.runs.bench import bench as bench
    from bimhw.runs.learn import learn as learn
    from bimhw.runs.nir import run_nir as run_nir
    from bimhw.runs.simulate import simulate as simulate
    from bimhw.studies.demo import demo as demo
    from bimhw.studies.sweep.run import run_sweep as run_sweep
    from bimhw.studies.sweep.spec import SweepSpec as SweepSpec
    from bimhw.tasks import load_task as load_task
    from bimhw.tasks.dataset import Dataset as Dataset
    from bimhw.views.build import write_report as write_report
    from energy_models.chip_energy import chip_energy as chip_energy
    from energy_models.gpu import gpu_cost as gpu_cost
    from energy_models.learning import learning_counts as learning_counts
    from mapping.network import Network as Network
    from simulator.base.errors import BimhwError as BimhwError
    from simulator.chips.listing import list_chips as list_chips
    from simulator.chips.load import load_chip as load_chip
    from simulator.events.asynchronous import run_free as run_free
    from simulator.events.engine import run_events as run_events
    from simulator.function import run as run
    from simulator.function import run_samples as run_samples
    from simulator.program.program import Program as Program
    from simulator.program.spikes import SpikeTrain as SpikeTrain
    from simulator.timing.run import run_timing as run_timing
    from simulator.timing.system import system_mesh as system_mesh
    from simulator.trace import trace_of as trace_of

# public name -> module that defines it; tests/test_public_api.py holds it against the imports above
_PUBLIC = {
    "bench": "bimhw.runs.bench",
    "BimConfig": "bimhw.models.bim.config",
    "BimhwError": "simulator.base.errors",
    "BimNet": "bimhw.models.bim.net",
    "brian2_input": "bimhw.frontends.brian2.network",
    "check_nir": "bimhw.frontends.nir.check",
    "replay_rtl": "bimhw.evidence.verify.rtl.check",
    "chip_energy": "energy_models.chip_energy",
    "compare_silicon": "bimhw.evidence.silicon.compare",
    "compile": "bimhw.compiler.pipeline",
    "CompileResult": "bimhw.compiler.pipeline",
    "convert": "bimhw.frontends.ann.convert",
    "cross_check": "bimhw.evidence.crosscheck.check",
    "cross_check_learning": "bimhw.evidence.crosscheck.plasticity",
    "Dataset": "bimhw.tasks.dataset",
    "decode": "bimhw.compiler.decode",
    "demo": "bimhw.studies.demo",
    "doctor": "bimhw.evidence.doctor",
    "encode": "bimhw.compiler.decode",
    "energy": "bimhw.costs.compare",
    "export_nir": "bimhw.frontends.nir.export",
    "finetune": "bimhw.learning.finetune",
    "fit": "bimhw.compiler.fit",
    "from_brian2": "bimhw.frontends.brian2.network",
    "gpu_cost": "energy_models.gpu",
    "learn": "bimhw.runs.learn",
    "learning_counts": "energy_models.learning",
    "list_chips": "simulator.chips.listing",
    "load_chip": "simulator.chips.load",
    "load_model": "bimhw.models.io",
    "load_network": "bimhw.frontends",
    "load_task": "bimhw.tasks",
    "model_of": "bimhw.compiler.readback",
    "Network": "mapping.network",
    "Program": "simulator.program.program",
    "read_nir": "bimhw.frontends.nir.read",
    "run": "simulator.function",
    "run_converted": "bimhw.costs.ann",
    "run_events": "simulator.events.engine",
    "run_free": "simulator.events.asynchronous",
    "run_nir": "bimhw.runs.nir",
    "run_samples": "simulator.function",
    "run_sweep": "bimhw.studies.sweep.run",
    "run_timing": "simulator.timing.run",
    "save_model": "bimhw.models.io",
    "simulate": "bimhw.runs.simulate",
    "SpikeTrain": "simulator.program.spikes",
    "SweepSpec": "bimhw.studies.sweep.spec",
    "system_mesh": "simulator.timing.system",
    "trace_of": "simulator.trace",
    "train": "bimhw.learning.api",
    "write_report": "bimhw.views.build",
}

__all__ = [*_PUBLIC, "__version__"]


if not TYPE_CHECKING:  # a checker must not believe that every name exists

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'bimhw' has no attribute {name!r}")
        return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
