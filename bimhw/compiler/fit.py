"""`fit`: does a model fit a chip, which resource binds, which chips would take it, and how many of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bimhw.compiler.choices import check_quantisation, samples_of
from bimhw.compiler.fit_report import FitReport
from bimhw.compiler.lower.for_chip import for_chip
from bimhw.compiler.options import CompileOptions, width
from bimhw.compiler.outline import outline_integers
from bimhw.compiler.pipeline import Integers, to_integers
from bimhw.frontends import load_network, load_outline, reading_for
from bimhw.tasks.dataset import Dataset
from mapping.blocks import pack, pack_blocks
from mapping.limits import WAYS_OUT, check_capabilities
from mapping.network import Network
from mapping.patterned import is_patterned
from mapping.problem import make_problem
from mapping.relay import map_with_relays
from mapping.spec import check_network, with_defaults
from mapping.usage import Resource
from simulator.base.errors import FitError
from simulator.chips.chip import MOST_CHIPS, Chip
from simulator.chips.load import chip_names, load_chip
from simulator.chips.system import one_of, with_chips
from simulator.program.program import Program

if TYPE_CHECKING:
    from bimhw.tasks.base import Task
    from bimhw.tasks.sources.text import Corpus


def fit(
    model: Any,
    chip: str | Chip = "loihi2",
    *,
    calibration: Any = None,
    task: str | Task | Corpus | Dataset | None = None,
    data: Dataset | str | Path | object = None,
    bits: int | None = None,
    state_bits: int = 16,
    per_row: bool = False,
    neurons_per_core: int | None = None,
    chips: int = 1,
    seed: int = 0,
    profile: str | None = None,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    sample: object = None,
    reading: Mapping[str, object] | None = None,
) -> FitReport:
    """Check whether a model fits a chip, packed tightly; nothing is written.

    Returns a JSON-able dict: ``fits``, ``reason`` and ``way_out`` where it does not, ``cores``, ``cores_of_chip``,
    ``relay_neurons``, ``chips`` (the smallest number that holds it, which `compile` then fills; None where no number
    does), ``binding`` (the resource that asks for the most cores), ``resources`` (total, fullest core, limit, load, cores
    it alone asks for), and ``other_chips`` with the same verdict for every chip that comes with bimhw, those that need the
    fewest cores first.

    Args:
        model, chip, calibration, task, data, bits, state_bits, per_row, neurons_per_core, chips, seed: as in `bimhw.compile`.
        profile, dt, input_shape, sample, reading: how a file or a module is read, as there.

    Raises:
        InputError: a file or an argument that is not what it must be.
    """
    target = with_chips(chip if isinstance(chip, Chip) else load_chip(chip), chips)
    task = samples_of(task, data, calibration)
    options = CompileOptions(bits=width(bits), state_bits=state_bits, per_row=per_row)
    named = {"profile": profile, "dt": dt, "input_shape": input_shape, "sample": sample} | dict(reading or {})
    named = reading_for(model, target, **named)
    outline = load_outline(model, **named)
    recorded = task if isinstance(task, Dataset) else None
    source = outline or check_network(load_network(model, recorded, **named))
    check_quantisation(source, target, options, bits)
    lowered = partial(to_integers, calibration=calibration, task=task, seed=seed)
    tried = _Tried(source, outline, options, neurons_per_core, lowered)
    others = [tried.verdict(load_chip(name), all_axons=False) for name in chip_names() if name != target.name]
    others.sort(key=lambda v: (not v["fits"], v["chips"] is None, v["cores"] or 0, v["chip"]))
    short = [{k: v[k] for k in ("chip", "fits", "cores", "cores_of_chip", "chips", "reason")} for v in others]
    return FitReport(tried.verdict(target) | {"other_chips": short})


@dataclass
class _Tried:
    """A network that is tried on chips; those with the same neurons share its integers."""

    source: Network
    outline: Network | None
    options: CompileOptions
    neurons_per_core: int | None
    lowered: Callable[..., Integers]
    known: dict[int, tuple[Network, Integers]] = field(default_factory=dict)  # by float network, kept

    def verdict(self, on: Chip, all_axons: bool = True) -> dict[str, Any]:
        """Return whether the network fits a chip, and what binds there; axons without a limit only with `all_axons`."""
        try:
            return _verdict(self._integer(on), on, self.neurons_per_core, all_axons)
        except FitError as error:
            return _refused(on, error)

    def _integer(self, on: Chip) -> Network:
        if self.source.stage == "integer":
            check_capabilities(self.source, on)
            return self.source
        if self.outline is not None:
            return outline_integers(for_chip(with_defaults(self.outline), on), on, self.options)
        own = for_chip(self.source, on)
        if id(own) in self.known:
            check_capabilities(self.known[id(own)][1].network, on, self.options.bits)
        else:
            self.known[id(own)] = own, self.lowered(own, on, options=self.options)
        return self.known[id(own)][1].integer


def _verdict(network: Network, chip: Chip, neurons_per_core: int | None, all_axons: bool) -> dict[str, Any]:
    problem = make_problem(network, chip)
    program, resources = pack(problem, neurons_per_core, unlimited_axons=all_axons)
    relays = 0
    if not _holds(program, resources, chip) and not is_patterned(program):
        try:  # a fan-out beyond the axons of a core, where relay neurons help
            program, resources = map_with_relays(network, chip, neurons_per_core)
            relays = program.facts.relays.neurons
        except FitError:
            pass
    cores = len(set(program.core[program.core >= 0].tolist()))
    rows = [_row(r, cores) for r in resources]
    over = [r for r in resources if r.over]
    asking = max(rows, key=lambda row: row["total"] / row["limit"] if row["cores_asked"] else 0.0)
    binding = over[0].name if over else asking["name"]
    chips = None if over else chip.topology.chips if relays else _chips_needed(network, one_of(chip), neurons_per_core)
    reason = _reason(chip, cores, over, int(program.core.max(initial=0)) < chip.topology.mesh_cores)
    return {
        "chip": chip.name,
        "fits": not reason,
        "reason": reason,
        "way_out": "" if not reason else _way_out(binding, over, chips),
        "neurons": network.n_neurons,
        "synapses": network.n_synapses,
        "cores": cores,
        "cores_of_chip": chip.n_cores,
        "relay_neurons": relays,
        "chips": chips,
        "binding": binding,
        "resources": rows,
    }


def _holds(program: Program, resources: Sequence[Resource], chip: Chip) -> bool:
    there = program.cores_used <= chip.n_cores and int(program.core.max(initial=0)) < chip.topology.mesh_cores
    return there and not any(r.over for r in resources)


def _chips_needed(network: Network, one: Chip, neurons_per_core: int | None) -> int | None:
    """Return the smallest number of chips that holds a network, packed as `compile` packs it; None where none does."""
    n = 1
    while n <= MOST_CHIPS:
        program, resources = pack_blocks(network, with_chips(one, n), neurons_per_core, unlimited_axons=False)
        if any(r.over for r in resources):
            return None
        needed = math.ceil(program.cores_used / one.n_cores)
        if needed <= n and int(program.core.max(initial=0)) < n * one.topology.chip_cores:
            return n
        n = max(needed, n + 1)
    return None


def _reason(chip: Chip, cores: int, over: Sequence[Resource], there: bool) -> str:
    if over:
        r = over[0]
        return f"a core needs {r.worst:,} {r.name}, and chip {chip.name!r} allows {r.limit_there:,.0f}"
    if cores > chip.n_cores:
        return f"needs {cores} cores, and chip {chip.name!r} has {chip.n_cores}"
    return "" if there else f"needs {cores} cores, and fewer of chip {chip.name!r} are large enough"


def _way_out(binding: str, over: Sequence[Resource], chips: int | None) -> str:
    if over:
        return WAYS_OUT[binding]
    more = f"{chips} chips hold it: --chips {chips}" if chips else f"No system of up to {MOST_CHIPS} chips holds it"
    return f"{more}. {WAYS_OUT[binding]}"


def _refused(chip: Chip, error: FitError) -> dict[str, Any]:
    """Return the verdict on a chip that cannot run the model at all."""
    return {
        "chip": chip.name,
        "fits": False,
        "reason": f"{error.where}: {error.problem}",
        "way_out": error.way_out,
        "neurons": None,
        "synapses": None,
        "cores": None,
        "cores_of_chip": chip.n_cores,
        "relay_neurons": None,
        "chips": None,
        "binding": None,
        "resources": [],
    }


def _row(r: Resource, cores: int) -> dict[str, Any]:
    """Return the row of one resource; ``cores_asked``: the cores its total alone would take, None without limit or total."""
    total = None if r.name == "state_bytes_per_neuron" else int(r.used.sum())
    asked = math.ceil(total / r.limit) if total is not None and r.limit else None
    return {
        "name": r.name,
        "total": total,
        "worst_core": r.worst,
        "limit": r.limit_there,
        "load": r.load,
        "cores_asked": asked,
    }
