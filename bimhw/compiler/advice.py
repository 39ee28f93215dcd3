"""Advice on quantisation: which layers lose most by storing their weights, why, and what would help, with the figures.

The figure is the root mean square of (stored - float) weight over that of the float weights, or, where that is worse, the
error of what the layer's neurons receive (`bimhw.compiler.row_errors`): one outlier hides the first, never the second.
The remedies are tried on the layer itself: a scale for each row, free scales, both, and more bits as far as the chip stores
them. Training (`bimhw finetune`) is named where none of them brings it below the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from bimhw.compiler.calibrate import Calibration
from bimhw.compiler.lower.base import lowering_of
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.quantise import PortWeights, channels_of, quantise_port
from bimhw.compiler.row_errors import layer_error
from mapping.network import Network
from simulator.program.graph import Projection
from simulator.program.shared import SharedProjection

LIMIT = 0.05  # relative error of a layer's weights from which advice is given
ROW_LIMIT = 0.1  # error of what its neurons receive
MARK = " off (rms"  # in every sentence of advice
MOST_LAYERS = 3
OUTLIER = 32.0  # times the layer's median weight
MOST_BITS = 9
_SCALES = (
    ({"per_row": True}, "--per-row"),
    ({"free_scales": True}, "--free-scales"),
    ({"per_row": True, "free_scales": True}, "--per-row --free-scales"),
)
_TRAIN = "; training with them rounded helps (bimhw finetune, of .pt and .safetensors)"
_WORTH = 0.8  # a remedy is named where it leaves at most this share of the error


@dataclass(frozen=True, eq=False)
class Stored:
    """Storage of a float network.

    Attributes:
        network: float stage.
        errors: projection -> relative error of its stored weights.
        rows: projection -> error of what its target neurons receive.
        scales: population -> value of a spike of payload 1.
        calibrated: what populations send; scales are chosen for it.
        options: of the compiler.
        widths: bits of a weight that the chip stores.
    """

    network: Network
    errors: Mapping[str, float]
    rows: Mapping[str, float]
    scales: Mapping[str, float]
    calibrated: Calibration
    options: CompileOptions
    widths: tuple[int, ...]


def _by_row(error: float, rows: float) -> bool:
    """Return whether what the neurons receive is the figure to tell."""
    return rows > ROW_LIMIT and rows > error


def off(error: float, rows: float) -> str:
    """Return how far a layer's stored weights are off in words, or "" below both limits."""
    if _by_row(error, rows):
        return f"what its neurons receive is {rows:.1%}{MARK} over rows)"
    return f"its stored weights are {error:.1%}{MARK})" if error > LIMIT else ""


def advice(stored: Stored) -> tuple[str, ...]:
    """Return one sentence for each of the worst layers whose error is above its limit, worst first."""
    names = [q.name for q in stored.network.projections]
    worst = {name: max(stored.errors.get(name, 0.0), stored.rows.get(name, 0.0)) for name in names}
    bad = [q for q in stored.network.projections if off(stored.errors.get(q.name, 0.0), stored.rows.get(q.name, 0.0))]
    return tuple(_sentence(stored, q) for q in sorted(bad, key=lambda q: -worst[q.name])[:MOST_LAYERS])


def _sentence(stored: Stored, q: Projection) -> str:
    own, rows = stored.errors.get(q.name, 0.0), stored.rows.get(q.name, 0.0)
    by_row = _by_row(own, rows)
    error, limit = (rows, ROW_LIMIT) if by_row else (own, LIMIT)
    tried = [(text, found) for text, found in _remedies(stored, q, by_row, limit) if found < _WORTH * error]
    helps = "; ".join(f"{text}: {found:.1%}" for text, found in tried) or "no other scale helps"
    train = "" if any(found <= limit for _, found in tried) else _TRAIN
    return f"projection {q.name!r}: {off(own, rows)}{_zeros(stored, q)}{_outlier(q)}. {helps}{train}"


def _zeros(stored: Stored, q: Projection) -> str:
    """Return how many weights are stored as 0, if any."""
    kept = next(p for p in _port(stored, q, stored.options).projections if p.name == q.name)
    used, left = int(np.count_nonzero(q.weights)), int(np.count_nonzero(kept.weights))
    if left == used:
        return ""
    return f"; {used - left:,} of {used:,} weights become 0"


def _outlier(q: Projection) -> str:
    weights = np.asarray(q.weights, np.float64)
    size = np.abs(weights)
    median = float(np.median(size[size > 0])) if size.any() else 0.0
    if median == 0 or float(size.max()) < OUTLIER * median:
        return ""
    at = int(size.argmax())
    times = f"is {size[at] / median:.0f} times the layer's median and sets its scale"
    if isinstance(q, SharedProjection):
        return f"; the kernel's weight {weights[at]:.3g} {times}"
    row = _outlying_row(q)
    if row:
        return row
    source = int(np.searchsorted(q.indptr, at, side="right")) - 1
    return f"; the weight {weights[at]:.3g} from neuron {source} to {int(q.targets[at])} {times}"


def _outlying_row(q: Projection) -> str:
    """Return which target's weights are all large beside the others', or ""."""
    weights, count = np.abs(np.asarray(q.weights, np.float64)), np.bincount(q.targets)
    by_row = weights[np.lexsort((weights, q.targets))]  # ascending within each target
    first = np.cumsum(count) - count
    size = by_row[(first + count // 2)[count > 0]]  # one large weight does not move a row's median
    median = float(np.median(size))
    if size.size < MOST_LAYERS or float(size.max()) < OUTLIER * median:
        return ""
    at = int(np.flatnonzero(count)[size.argmax()])
    return f"; the weights to neuron {at} are {size.max() / median:.0f} times the median row's and set its scale"


def _port(stored: Stored, q: Projection, options: CompileOptions) -> PortWeights:
    """Return the weights into a projection's port, stored with other options."""
    population = stored.network.population(q.target)
    into = [p for p in stored.network.projections if (p.target, p.port) == (q.target, q.port)]
    fixed = lowering_of(population).port_unit(population, q.port).fixed
    drives, channels = stored.calibrated.drives, channels_of(population)
    return quantise_port(into, population.size, stored.scales, options, drives, fixed, by_row=True, channels=channels)


def _remedies(stored: Stored, q: Projection, by_row: bool, limit: float) -> Iterator[tuple[str, float]]:
    def error(changed: CompileOptions) -> float:
        port = _port(stored, q, changed)
        if not by_row:
            return port.rms_error[q.name]
        return layer_error(port.row_errors[q.name], stored.calibrated.rates.get(q.target))

    options = stored.options
    for changed, text in _SCALES:
        if not any(getattr(options, name) for name in changed):
            yield text, error(replace(options, **changed))
    wider = [bits for bits in sorted(stored.widths) if options.bits < bits <= MOST_BITS]
    for bits in wider:
        found = error(replace(options, bits=bits))
        if found <= limit or bits == wider[-1]:
            yield f"--bits {bits}", found
            return
