"""Compile a plain network file (.npz): it holds integers already, so it is only mapped, by the rates it really has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.compiler.report import mapped_figures
from bimhw.frontends.npz import RATE_STEPS, PlainNet, plain_program, read_plain, spike_rates
from mapping.limits import check_capabilities, check_core_count, check_limits
from mapping.mapper import MappedNetwork, map_network, with_relay_rates
from mapping.network import Network
from mapping.usage import usage
from simulator.chips.chip import Chip
from simulator.program.axons import axon_table
from simulator.program.program import Program
from simulator.program.traffic import reach


@dataclass(frozen=True, eq=False)
class PlainCompiled:
    """What compiling a plain network gives: the mapped program, the network, JSON-able figures, messages a step."""

    program: Program
    network: Network
    report: Mapping[str, Any]
    rates: Mapping[str, npt.NDArray[np.float64]]


def compile_plain(
    path: Path | str, chip: Chip, mapping: str = "auto", neurons_per_core: int | None = None, seed: int = 0
) -> PlainCompiled:
    """Map a plain network file to a chip.

    Args:
        path: the .npz file.
        chip: the chip.
        mapping: ``file`` (the file's own cores) or a method of `mapping.mapper.map_network`.
        neurons_per_core: at most so many neurons on a core.
        seed: of the mapping.

    Raises:
        InputError: a bad file or mapping.
        FitError: the chip cannot run it, or it does not fit.
    """
    net = read_plain(path)
    check_capabilities(net.network, chip, max(p.weight_bits for p in net.network.projections))
    rates = spike_rates(net)
    if mapping == "file":
        program = plain_program(net, chip)
        resources = usage(program, chip)
        check_limits(program, chip, resources)
        check_core_count(program, chip)
        mapped = MappedNetwork(program, resources, _file_figures(net, chip, rates, program))
    else:
        mapped = map_network(net.network, chip, mapping, rates, neurons_per_core, seed)
    mapped.program.check()
    steps = net.inputs.steps
    report = mapped_figures(mapped, chip) | {
        "sample_steps": steps,
        "chip_steps": steps,
        "calibration": f"rates of {min(RATE_STEPS, steps)} steps with the file's own inputs",
        "populations": [
            {"name": p.name, "model": p.model, "neurons": p.size, "rate": float(rates[p.name].mean())}
            for p in net.network.populations
        ],
    }
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    report["model_sha256"] = digest
    facts = (
        dict(mapped.program.meta)
        | {"model_sha256": digest}
        | {"notes": report["notes"], "mapping": dict(mapped.figures)}
    )
    program = replace(mapped.program, meta=facts)
    return PlainCompiled(program, net.network, report, with_relay_rates(program, rates))


def _file_figures(
    net: PlainNet, chip: Chip, rates: Mapping[str, npt.NDArray[np.float64]], program: Program
) -> dict[str, object]:
    rate = np.concatenate([rates[p.name] for p in net.network.populations])
    axons, per_spike = axon_table(program), reach(program, chip.topology)
    source = np.repeat(np.arange(rate.size), axons.fan_cores)
    return {
        "method": "file",
        "messages_per_step": float(rate[source] @ (axons.dst != program.core[source])),
        "hops_per_step": float(rate @ (per_spike.hops_ew + per_spike.hops_ns + per_spike.hops_chip)),
    }
