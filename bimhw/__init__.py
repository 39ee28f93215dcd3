"""bimhw: hardware co-design for neuromorphic chips.

Everything a user needs is here. Names are imported when they are first used, so that `import bimhw` stays light;
type checkers read the imports below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from simulator.base.names import VERSION as __version__

if TYPE_CHECKING:
    from bimhw.compiler.decode import decode as decode
    from bimhw.compiler.decode import encode as encode
    from bimhw.compiler.fit import fit as fit
    from bimhw.compiler.pipeline import CompileResult as CompileResult
    from bimhw.compiler.pipeline import compile as compile
    from bimhw.compiler.readback import model_of as model_of
    from bimhw.costs.ann import run_converted as run_converted
    from bimhw.costs.codesign import codesign as codesign
    from bimhw.costs.compare import energy as energy
    from bimhw.evidence.crosscheck.check import cross_check as cross_check
    from bimhw.evidence.crosscheck.check import cross_check as crosscheck
    from bimhw.evidence.crosscheck.plasticity import cross_check_learning as cross_check_learning
    from bimhw.evidence.crosscheck.plasticity import cross_check_learning as crosscheck_learning
    from bimhw.evidence.doctor import doctor as doctor
    from bimhw.evidence.silicon.compare import compare_silicon as compare_silicon
    from bimhw.evidence.silicon.compare import compare_silicon as silicon
    from bimhw.evidence.verify.api import verify as verify
    from bimhw.evidence.verify.rtl.check import replay_rtl as replay_rtl
    from bimhw.frontends import load_network as load_network
    from bimhw.frontends.ann.convert import convert as convert
    from bimhw.frontends.brian2.network import brian2_input as brian2_input
    from bimhw.frontends.brian2.network import from_brian2 as from_brian2
    from bimhw.frontends.diagram.skeleton import from_diagram as diagram
    from bimhw.frontends.diagram.skeleton import from_diagram as from_diagram
    from bimhw.frontends.nir.export import export_nir as export_nir
    from bimhw.frontends.nir.export import export_nir as nir_export
    from bimhw.frontends.nir.read import read_nir as read_nir
    from bimhw.frontends.nir.show import show_nir as nir_show
    from bimhw.learning.api import train as train
    from bimhw.learning.finetune import finetune as finetune
    from bimhw.learning.rules.registry import LearnerSettings as LearnerSettings
    from bimhw.learning.rules.registry import make_learner as make_learner
    from bimhw.learning.settings import TrainSettings as TrainSettings
    from bimhw.learning.train import Trainer as Trainer
    from bimhw.models.bim.config import BimConfig as BimConfig
    from bimhw.models.bim.net import BimNet as BimNet
    from bimhw.models.io import load_model as load_model
    from bimhw.models.io import save_model as save_model
    from bimhw.models.networks.microcircuit import potjans_diesmann as potjans_diesmann
    from bimhw.runs.bench import bench as bench
    from bimhw.runs.learn import learn as learn
    from bimhw.runs.learn_rule import learn_by_rule as learn_by_rule
    from bimhw.runs.nir import run_nir as nir_run
    from bimhw.runs.nir import run_nir as run_nir
    from bimhw.runs.nir_check import check_nir as check_nir
    from bimhw.runs.nir_check import check_nir as nir_check
    from bimhw.runs.remedies import remedies as remedies
    from bimhw.runs.simulate import simulate as simulate
    from bimhw.studies.demo import demo as demo
    from bimhw.studies.examples import examples as examples
    from bimhw.studies.forgetting import forget_classes as forgetting
    from bimhw.studies.learning_cost.api import learning_cost as learning_cost
    from bimhw.studies.learning_cost.api import stdp_window as stdp_window
    from bimhw.studies.learning_cost.rules import rule_cost as rule_cost
    from bimhw.studies.results.api import results as results
    from bimhw.studies.rules import rules as rules
    from bimhw.studies.serve.server import serve as serve
    from bimhw.studies.sweep.api import sweep as sweep
    from bimhw.studies.sweep.run import run_sweep as run_sweep
    from bimhw.studies.sweep.spec import SweepSpec as SweepSpec
    from bimhw.tasks import load_task as load_task
    from bimhw.tasks.dataset import Dataset as Dataset
    from bimhw.tasks.fetch import fetch as data_fetch
    from bimhw.tasks.inspect import check_data as data_check
    from bimhw.tasks.inspect import inventory as data_list
    from bimhw.views.build import write_report as report
    from bimhw.views.build import write_report as write_report
    from bimhw.views.mapping import map_program as map
    from bimhw.views.schemas import schema as schema
    from bimhw.views.tasks import compare_runs as table
    from energy_models.chip_energy import chip_energy as chip_energy
    from energy_models.gpu import gpu_cost as gpu_cost
    from energy_models.learning import learning_counts as learning_counts
    from mapping.network import Network as Network
    from simulator.base.errors import BimhwError as BimhwError
    from simulator.chips.listing import check_chip_file as chips_check
    from simulator.chips.listing import chip_schema as chips_schema
    from simulator.chips.listing import list_chips as chips
    from simulator.chips.listing import list_chips as list_chips
    from simulator.chips.listing import new_chip as chips_new
    from simulator.chips.load import load_chip as chips_show
    from simulator.chips.load import load_chip as load_chip
    from simulator.chips.sanafe import chip_from_sanafe as chips_import
    from simulator.events.asynchronous import run_free as run_free
    from simulator.events.run import run_events as run_events
    from simulator.function import run as run
    from simulator.function import run_samples as run_samples
    from simulator.program.meta import ProgramMeta as ProgramMeta
    from simulator.program.program import Program as Program
    from simulator.program.spikes import SpikeTrain as SpikeTrain
    from simulator.timing.run import run_timing as run_timing
    from simulator.timing.system import system_mesh as system_mesh
    from simulator.timing.trace import trace_of as trace_of

# public name -> what it is; tests/test_public_api.py holds it against the imports above
_PUBLIC = {
    "bench": "bimhw.runs.bench.bench",
    "BimConfig": "bimhw.models.bim.config.BimConfig",
    "BimhwError": "simulator.base.errors.BimhwError",
    "BimNet": "bimhw.models.bim.net.BimNet",
    "brian2_input": "bimhw.frontends.brian2.network.brian2_input",
    "check_nir": "bimhw.runs.nir_check.check_nir",
    "chip_energy": "energy_models.chip_energy.chip_energy",
    "chips": "simulator.chips.listing.list_chips",
    "chips_check": "simulator.chips.listing.check_chip_file",
    "chips_import": "simulator.chips.sanafe.chip_from_sanafe",
    "chips_new": "simulator.chips.listing.new_chip",
    "chips_schema": "simulator.chips.listing.chip_schema",
    "chips_show": "simulator.chips.load.load_chip",
    "codesign": "bimhw.costs.codesign.codesign",
    "compare_silicon": "bimhw.evidence.silicon.compare.compare_silicon",
    "compile": "bimhw.compiler.pipeline.compile",
    "CompileResult": "bimhw.compiler.pipeline.CompileResult",
    "convert": "bimhw.frontends.ann.convert.convert",
    "cross_check": "bimhw.evidence.crosscheck.check.cross_check",
    "cross_check_learning": "bimhw.evidence.crosscheck.plasticity.cross_check_learning",
    "crosscheck": "bimhw.evidence.crosscheck.check.cross_check",
    "crosscheck_learning": "bimhw.evidence.crosscheck.plasticity.cross_check_learning",
    "data_check": "bimhw.tasks.inspect.check_data",
    "data_fetch": "bimhw.tasks.fetch.fetch",
    "data_list": "bimhw.tasks.inspect.inventory",
    "Dataset": "bimhw.tasks.dataset.Dataset",
    "decode": "bimhw.compiler.decode.decode",
    "demo": "bimhw.studies.demo.demo",
    "diagram": "bimhw.frontends.diagram.skeleton.from_diagram",
    "from_diagram": "bimhw.frontends.diagram.skeleton.from_diagram",
    "doctor": "bimhw.evidence.doctor.doctor",
    "encode": "bimhw.compiler.decode.encode",
    "energy": "bimhw.costs.compare.energy",
    "examples": "bimhw.studies.examples.examples",
    "export_nir": "bimhw.frontends.nir.export.export_nir",
    "finetune": "bimhw.learning.finetune.finetune",
    "fit": "bimhw.compiler.fit.fit",
    "forgetting": "bimhw.studies.forgetting.forget_classes",
    "from_brian2": "bimhw.frontends.brian2.network.from_brian2",
    "gpu_cost": "energy_models.gpu.gpu_cost",
    "learn": "bimhw.runs.learn.learn",
    "LearnerSettings": "bimhw.learning.rules.registry.LearnerSettings",
    "make_learner": "bimhw.learning.rules.registry.make_learner",
    "Trainer": "bimhw.learning.train.Trainer",
    "TrainSettings": "bimhw.learning.settings.TrainSettings",
    "rules": "bimhw.studies.rules.rules",
    "learn_by_rule": "bimhw.runs.learn_rule.learn_by_rule",
    "learning_cost": "bimhw.studies.learning_cost.api.learning_cost",
    "learning_counts": "energy_models.learning.learning_counts",
    "list_chips": "simulator.chips.listing.list_chips",
    "load_chip": "simulator.chips.load.load_chip",
    "load_model": "bimhw.models.io.load_model",
    "load_network": "bimhw.frontends.load_network",
    "load_task": "bimhw.tasks.load_task",
    "map": "bimhw.views.mapping.map_program",
    "model_of": "bimhw.compiler.readback.model_of",
    "Network": "mapping.network.Network",
    "nir_check": "bimhw.runs.nir_check.check_nir",
    "nir_export": "bimhw.frontends.nir.export.export_nir",
    "nir_run": "bimhw.runs.nir.run_nir",
    "nir_show": "bimhw.frontends.nir.show.show_nir",
    "potjans_diesmann": "bimhw.models.networks.microcircuit.potjans_diesmann",
    "Program": "simulator.program.program.Program",
    "ProgramMeta": "simulator.program.meta.ProgramMeta",
    "read_nir": "bimhw.frontends.nir.read.read_nir",
    "remedies": "bimhw.runs.remedies.remedies",
    "replay_rtl": "bimhw.evidence.verify.rtl.check.replay_rtl",
    "report": "bimhw.views.build.write_report",
    "results": "bimhw.studies.results.api.results",
    "rule_cost": "bimhw.studies.learning_cost.rules.rule_cost",
    "run": "simulator.function.run",
    "run_converted": "bimhw.costs.ann.run_converted",
    "run_events": "simulator.events.run.run_events",
    "run_free": "simulator.events.asynchronous.run_free",
    "run_nir": "bimhw.runs.nir.run_nir",
    "run_samples": "simulator.function.run_samples",
    "run_sweep": "bimhw.studies.sweep.run.run_sweep",
    "run_timing": "simulator.timing.run.run_timing",
    "save_model": "bimhw.models.io.save_model",
    "schema": "bimhw.views.schemas.schema",
    "serve": "bimhw.studies.serve.server.serve",
    "silicon": "bimhw.evidence.silicon.compare.compare_silicon",
    "simulate": "bimhw.runs.simulate.simulate",
    "SpikeTrain": "simulator.program.spikes.SpikeTrain",
    "stdp_window": "bimhw.studies.learning_cost.api.stdp_window",
    "sweep": "bimhw.studies.sweep.api.sweep",
    "SweepSpec": "bimhw.studies.sweep.spec.SweepSpec",
    "system_mesh": "simulator.timing.system.system_mesh",
    "table": "bimhw.views.tasks.compare_runs",
    "trace_of": "simulator.timing.trace.trace_of",
    "train": "bimhw.learning.api.train",
    "verify": "bimhw.evidence.verify.api.verify",
    "write_report": "bimhw.views.build.write_report",
}

__all__ = [*_PUBLIC, "__version__"]


if not TYPE_CHECKING:  # a checker must not believe that every name exists

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'bimhw' has no attribute {name!r}")
        module, _, attribute = _PUBLIC[name].rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
