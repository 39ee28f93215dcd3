"""Advice on quantisation: which layers lose most by storing their weights, why, and what would help, with the figures.

The figure is the root mean square of (stored - float) weight over that of the float weights. The remedies are tried on the
layer itself: a scale for each row, free scales, both, and more bits as far as the chip stores them. Training
(`bimhw finetune`) is named where none of them brings it below the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from bimhw.compiler.calibrate import Drive
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.quantise import quantise_port
from mapping.network import Network
from simulator.program.graph import Projection
from simulator.program.shared import SharedProjection

LIMIT = 0.05  # relative error of a layer from which advice is given
MOST_LAYERS = 3
OUTLIER = 8.0  # times the layer's root mean square
MOST_BITS = 9
_SCALES = (
    ({"per_row": True}, "--per-row"),
    ({"free_scales": True}, "--free-scales"),
    ({"per_row": True, "free_scales": True}, "--per-row --free-scales"),
)
_WORTH = 0.8  # a remedy is named where it leaves at most this share of the error


@dataclass(frozen=True, eq=False)
class Stored:
    """Storage of a float network.

    Attributes:
        network: float stage.
        errors: projection -> relative error of its stored weights.
        scales: population -> value of a spike of payload 1.
        drives: population -> statistics of what it sends; scales are chosen for them.
        options: of the compiler.
        widths: bits of a weight that the chip stores.
    """

    network: Network
    errors: Mapping[str, float]
    scales: Mapping[str, float]
    drives: Mapping[str, Drive]
    options: CompileOptions
    widths: tuple[int, ...]


def advice(stored: Stored) -> tuple[str, ...]:
    """Return one sentence for each of the worst layers whose error is above `LIMIT`, worst first."""
    errors = stored.errors
    bad = [q for q in stored.network.projections if errors.get(q.name, 0.0) > LIMIT]
    return tuple(_sentence(stored, q, errors[q.name]) for q in sorted(bad, key=lambda q: -errors[q.name])[:MOST_LAYERS])


def _sentence(stored: Stored, q: Projection, error: float) -> str:
    tried = [(text, found) for text, found in _remedies(stored, q) if found < _WORTH * error]
    helps = "; ".join(f"{text}: {found:.1%}" for text, found in tried) or "no other scale helps"
    train = "" if any(found <= LIMIT for _, found in tried) else "; bimhw finetune trains what is left"
    return f"projection {q.name!r}: its stored weights are {error:.1%} off (rms){_outlier(q)}. {helps}{train}"


def _outlier(q: Projection) -> str:
    weights = np.asarray(q.weights, np.float64)
    rms = float(np.sqrt(np.mean(weights * weights))) if weights.size else 0.0
    if rms == 0 or float(np.abs(weights).max()) < OUTLIER * rms:
        return ""
    at = int(np.abs(weights).argmax())
    if isinstance(q, SharedProjection):
        size = f"{abs(weights[at]) / rms:.0f}"
        return f"; the kernel's weight {weights[at]:.3g} is {size} times the layer's rms and sets its scale"
    source = int(np.searchsorted(q.indptr, at, side="right")) - 1
    return (
        f"; the weight {weights[at]:.3g} from neuron {source} to {q.first + int(q.indices[at])} is {abs(weights[at]) / rms:.0f} "
        "times the layer's rms and sets its scale"
    )


def _remedies(stored: Stored, q: Projection) -> Iterator[tuple[str, float]]:
    def error(changed: CompileOptions) -> float:
        return float(quantise_port([q], size, stored.scales, changed, stored.drives).rms_error[q.name])

    options, size = stored.options, stored.network.population(q.target).size
    for changed, text in _SCALES:
        per_row = "per_row" in changed and isinstance(q, SharedProjection)  # would unroll the kernel
        if not per_row and not any(getattr(options, name) for name in changed):
            yield text, error(replace(options, **changed))
    wider = [bits for bits in sorted(stored.widths) if options.bits < bits <= MOST_BITS]
    for bits in wider:
        found = error(replace(options, bits=bits))
        if found <= LIMIT or bits == wider[-1]:
            yield f"--bits {bits}", found
            return
