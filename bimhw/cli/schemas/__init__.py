"""Schemas of what each command prints with ``--json``."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bimhw.cli.schemas import chips, costs, evidence, learning, networks
from bimhw.cli.schemas.base import Anything
from bimhw.runs.bench import BenchResult
from simulator.base.errors import unknown_name

# full name of a command -> type of its document, or the types that its options choose between
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENTS: Mapping[str, object] = {
    "bench": BenchResult,
    "chips": list[chips.ChipLine],
    "chips check": chips.ChipCheck,
    "chips import": chips.ChipImport,
    "chips new": chips.ChipNew,
    "chips schema": dict[str, Anything],
    "chips show": dict[str, Anything],
    "codesign": costs.Codesign,
    "compile": networks.Compile,
    "convert": networks.Convert,
    "crosscheck": evidence.Crosscheck,
    "crosscheck-learning": evidence.CrosscheckLearning,
    "data check": dict[str, Anything],
    "data fetch": chips.DataFetch,
    "data list": list[chips.DataLine],
    "demo": costs.Demo,
    "diagram": networks.Diagram,
    "doctor": list[chips.DoctorLine],
    "energy": (costs.Energy, costs.EnergyBy, list[costs.EnergyItem], list[costs.EnergyRow]),
    "examples": chips.Files,
    "finetune": learning.Finetune,
    "fit": chips.Fit,
    "forgetting": dict[str, learning.Forgetting],
    "learn": (learning.Learn, learning.LearnByRule),
    "learning-cost": evidence.LearningCost,
    "map": chips.Map,
    "nir check": dict[str, Anything],
    "nir export": networks.NirExport,
    "nir run": networks.NirRun,
    "nir show": networks.NirShow,
    "report": chips.ReportFile,
    "results": costs.Results,
    "rules": list[learning.Rule],
    "schema": dict[str, Anything],
    "serve": chips.Served,
    "silicon": evidence.Silicon,
    "simulate": costs.Simulate,
    "stdp-window": evidence.StdpWindow,
    "sweep": costs.Sweep,
    "table": costs.Table,
    "train": (learning.Train, learning.TrainText, learning.TrainSpeech, learning.TrainStream),
    "verify": evidence.Verify,
}


def schema(command: str) -> dict[str, object]:
    """Return the JSON schema of what ``bimhw COMMAND --json`` prints.

    Args:
        command: full name of a command, as in ``nir run``.

    Raises:
        InputError: no such command.
    """
    if command not in DOCUMENTS:
        raise unknown_name("command", command, DOCUMENTS)
    types = documents(command)
    schemas, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {"$schema": _DRAFT, "title": f"bimhw {command} --json", "anyOf": list(schemas), "$defs": parts}


def documents(command: str) -> tuple[object, ...]:
    """Return the types of a command's document, one of which it prints."""
    found = DOCUMENTS[command]
    return found if isinstance(found, tuple) else (found,)
