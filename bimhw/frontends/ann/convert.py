"""ANN -> SNN: a network of ReLU layers becomes one of integrate-and-fire neurons, thresholds balanced on data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bimhw.frontends.ann.codes import SHARE, Code, code_of
from bimhw.frontends.ann.pieces import WAY, is_activation
from bimhw.frontends.ann.rate import RateAssembly
from bimhw.frontends.ann.relus import OwnRelus
from bimhw.frontends.ann.work import AnnWork, ann_work
from bimhw.frontends.frameworks.assemble import OUTPUT
from bimhw.frontends.frameworks.cell import Cell, array
from bimhw.frontends.frameworks.expression import Expr
from bimhw.frontends.frameworks.module import in_double, input_scale, payloads
from bimhw.frontends.frameworks.nodes import INPUT
from bimhw.frontends.frameworks.trace import Trace
from bimhw.frontends.frameworks.watch import watching
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.profile import Profile, Settings
from bimhw.frontends.nir.read import build_graph
from bimhw.tasks.dataset import Dataset, as_dataset
from mapping.float_run import record
from mapping.network import Network
from simulator.base.arrays import I32, AnyInts, Floats
from simulator.base.errors import FitError, InputError
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown
from simulator.program.entries import bits_of_payloads

ANSWER = "answer"
_CALIBRATING = 256  # samples of calibration that the chip's words are calibrated on
_RUN_AT_ONCE = 128  # samples in the float engine side by side


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a conversion.

    Attributes:
        calibration: number that balanced the thresholds.
        judged: number that accuracy and agreement are of.
        shared: number of those judged that are among those that balanced.
        inputs: those that balanced [B, n], where they were given apart, to calibrate the chip's words too; else None.
    """

    calibration: int
    judged: int
    shared: int
    inputs: Floats | None = None

    @classmethod
    def of(cls, balancing: Floats, judged: Floats, apart: bool) -> Samples:
        """Return the counts of samples [B, n]."""
        known = {row.tobytes() for row in balancing}
        shared = sum(row.tobytes() in known for row in judged) if apart else len(judged)
        return cls(len(balancing), len(judged), shared, balancing if apart else None)

    def note(self) -> str:
        """Return which samples were used for what."""
        if self.inputs is None:
            return f"the same {self.judged} samples balance the thresholds and are judged: calibration data holds them apart"
        among = f", {self.shared} of them among the former" if self.shared else ", none of them among the former"
        return f"thresholds balanced on {self.calibration} samples, accuracy judged on {self.judged}{among}"


@dataclass(frozen=True, eq=False, repr=False)
class Converted(Shown):
    """A spiking network that came of a ReLU network.

    Attributes:
        network: float stage, for `bimhw.compile`; its answer is a state of the population ``answer`` after `steps`.
        steps: time steps of a sample.
        code: how activations become spikes.
        work: what the ReLU network computes for a sample, for the comparison with a GPU.
        ann_accuracy: of the ReLU network on the data, or None without labels.
        curve: number of steps T -> accuracy of the spiking network after T steps; empty without labels.
        agreement: T -> share of samples on which both decide the same.
        thresholds: layer -> threshold.
        samples: which balanced the thresholds, and which are judged.
        answers: float64 [B, T, classes], the answer after each step. Of a rate code, divided by T, or of sigma-delta as it
            is, it approaches the ReLU network's.
    """

    network: Network
    steps: int
    code: Code
    work: AnnWork
    ann_accuracy: float | None
    curve: Mapping[int, float]
    agreement: Mapping[int, float]
    thresholds: Mapping[str, float]
    answers: Floats
    samples: Samples

    def payloads(self, x: Any) -> I32:
        """Return inputs [B, ...] as payloads [B, T, n]: the same in every step, or once (sigma-delta)."""
        return payloads(self.network, self.code.given(array(torch.as_tensor(x)), self.steps))

    def dataset(self, x: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> Dataset:
        """Return inputs [B, ...] and labels [B] as data for `bimhw.compile` and `bimhw.simulate`."""
        y = None if labels is None else np.asarray(labels).reshape(-1)
        return Dataset(self.payloads(x), y, layout="bt", name="data of the ReLU network")

    def calibrating(self) -> Dataset | None:
        """Return the samples that balanced the thresholds as data for `bimhw.compile`, where they were given apart."""
        return None if self.samples.inputs is None else self.dataset(self.samples.inputs[:_CALIBRATING])

    def to_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "code": self.code.name,
            "steps": self.steps,
            "ann_accuracy": self.ann_accuracy,
            "curve": dict(self.curve),
            "agreement": dict(self.agreement),
            "thresholds": dict(self.thresholds),
            "calibration_samples": self.samples.calibration,
            "judged_samples": self.samples.judged,
            "shared_samples": self.samples.shared,
            "notes": list(self.network.meta["notes"]),
        }


@refuses_ignored("convert")
def convert(
    module: nn.Module,
    data: Any,
    labels: Any = None,
    *,
    calibration: object = None,
    code: str = "rate",
    steps: int | None = None,
    percentile: float = 99.9,
    threshold: float = SHARE,
) -> Converted:
    """Convert a ReLU network to spiking neurons.

    Args:
        module: Linear, Conv, BatchNorm (folded), average and maximum pools, Flatten and ReLU (a module in one place or several,
            or a function; other activations of straight pieces too, `bimhw.frontends.ann.pieces`), in any forward; not changed.
        data: inputs [B, ...] on which accuracy is judged, or what `bimhw.Dataset.open` reads.
        labels: classes [B], or None: those of the data.
        calibration: samples like `data` that balance the thresholds, and are not judged; by default `data` does both, as a
            note says.
        code: ``rate`` or ``sigma-delta`` (`bimhw.frontends.ann.codes`).
        steps: time steps of a sample; by default 64 of a rate code and 1 of sigma-delta.
        percentile: of a layer's activations that its threshold is set to; 100 is the largest.
        threshold: of sigma-delta: the least change that is sent, as a share of the layer's largest activation.

    Raises:
        InputError: data or labels that do not fit.
        FitError: a layer or function that has no form, by its name.
    """
    chosen = code_of(code)
    steps = chosen.steps if steps is None else steps
    if steps < 1 or not 0 < percentile <= 100 or not 0 < threshold <= 1:
        raise InputError(
            "convert",
            f"has steps {steps}, percentile {percentile:g} and threshold {threshold:g}",
            "Use steps >= 1, percentile 0..100, threshold 0..1",
        )
    x, classes = _samples(data, labels)
    double, x = OwnRelus(in_double(module), chosen.clips), x.to(torch.float64)
    balancing = x if calibration is None else _alike(_samples(calibration, None)[0].to(torch.float64), x)
    largest, wanted = _activations(double, balancing, percentile)
    if calibration is not None:
        with torch.no_grad():
            wanted = array(double(x))
    cells = {name: chosen.cell(value, threshold) for name, value in largest.items()}
    network, size = _network(double, x, cells, lambda top: chosen.cell(top, threshold), chosen)
    values, first = (array(part).reshape(len(part), size) for part in (x, balancing))
    samples = Samples.of(first, values, calibration is not None)
    scale, meta = input_scale(np.concatenate([values, first])), dict(network.meta) | {"kind": "ann"}
    meta["input"] = dict(network.meta["input"]) | {"scale": scale, "once": chosen.once}
    network = replace(network, meta=meta)
    meta["input"]["payload_bits"] = bits_of_payloads(payloads(network, values[None]))
    said = f"converted from a ReLU network: {chosen.name} code, steps of a sample: {steps}, payloads of {scale:g}"
    meta["notes"] = [*meta["notes"], said, samples.note()]
    network = replace(network, meta=meta)
    network = replace(network, samples=payloads(network, chosen.given(first[:_RUN_AT_ONCE], steps)))
    done = Converted(network, steps, chosen, ann_work(double, x), None, {}, {}, largest, np.zeros(0), samples)
    return _measured(done, np.round(values / scale) * scale, wanted, classes)


def _alike(calibration: Tensor, x: Tensor) -> Tensor:
    """Return samples of calibration, checked to be of the shape of those that are judged."""
    if not len(calibration) or calibration.shape[1:] != x.shape[1:]:
        raise InputError(
            "calibration data",
            f"are {list(calibration.shape)}, and a sample of the data is {list(x.shape[1:])}",
            "Give samples [B, ...] of the same shape",
        )
    return calibration


def _samples(data: Any, labels: Any) -> tuple[Tensor, AnyInts | None]:
    """Return inputs [B, ...] and classes [B]."""
    if not isinstance(data, Tensor | np.ndarray | list):
        given = as_dataset(data)
        data, labels = given.x, given.y if labels is None else labels
    x = torch.as_tensor(np.asarray(data) if not isinstance(data, Tensor) else data).detach()
    classes = None if labels is None else np.asarray(labels).reshape(-1)
    if classes is not None and len(classes) != len(x):
        raise InputError("labels", f"are {len(classes)}, but the data hold {len(x)} samples", "Give one a sample")
    return x, classes


def _activations(module: OwnRelus, x: Tensor, percentile: float) -> tuple[dict[str, float], Floats]:
    """Return the percentile of each ReLU's activations that are not 0, and the network's own answers."""
    found: dict[str, float] = {}
    with torch.no_grad():
        module(x[:1])  # makes the layers
        handles = [
            layer.register_forward_hook(_keep(found, module.names[layer], percentile)) for layer in module.layers
        ]
        module.percentile = percentile
        out = module(x)
    module.percentile = None
    for handle in handles:
        handle.remove()
    if not found:
        problem = f"calls no ReLU (its activations: {', '.join(_activation_names(module)) or 'none'})"
        raise FitError(f"module {type(module.inner).__name__!r}", problem, WAY)
    if not isinstance(out, Tensor) or out.ndim != 2:
        raise FitError("output of the module", "is no tensor [B, classes]", "Return the last layer's values")
    return found, array(out)


def _keep(found: dict[str, float], name: str, percentile: float) -> Callable[[nn.Module, object, Tensor], None]:
    """Return a hook that keeps the percentile of a layer's activations."""

    def keep(layer: nn.Module, given: object, out: Tensor) -> None:
        values = array(out)
        active = values[values > 0]
        found[name] = float(np.percentile(active, percentile)) if active.size else 1.0

    return keep


def _activation_names(module: nn.Module) -> list[str]:
    """Return the classes of torch's activations in a module, sorted."""
    return sorted({type(m).__name__ for m in module.modules() if is_activation(m)})


def _network(
    module: OwnRelus,
    x: Tensor,
    cells: Mapping[str, Cell],
    neuron: Callable[[float], Cell],
    code: Code,
) -> tuple[Network, int]:
    """Return the spiking network and the width of its input."""
    trace = Trace(module.names, cells)
    one = x[:2].clone()
    with watching(trace, module):
        out = module(one, lambda given: trace.keep(given, Expr("input", (), "B", tuple(one.shape), INPUT, 0)))
    expr = trace.of(out)
    if expr is None:
        raise FitError("output of the module", "does not come from its input", "Return the last layer's values")
    built = RateAssembly(
        {n: m for m, n in module.names.items()} | trace.function_layers,
        dict(cells), False, neuron=neuron, spans=module.spans,
    )  # fmt: skip
    for name, arrived in trace.arrived.items():
        built.cell(name, arrived, trace.shapes[name])
    built.cells[ANSWER] = code.answer()
    built.nodes[ANSWER] = built.cells[ANSWER].placeholder(expr.features)
    built.join(built.sources(expr, 0), ANSWER)
    built.nodes[OUTPUT] = ("Output", {})
    built.edges.append((ANSWER, OUTPUT))
    if INPUT not in built.input_shapes:
        raise FitError("input of the module", "does not reach a ReLU", "Give the module's own input")
    nodes = {INPUT: ("Input", {"shape": np.array(built.input_shapes[INPUT])}), **built.nodes}
    graph = build_graph(nodes, built.edges, type(module.inner).__name__)
    profile = Profile("ann", Settings(1.0), output="membrane")
    forms = {built.names.get(n, n): c.form() for n, c in built.cells.items()}
    network = lower(graph, profile, forms)
    meta = dict(network.meta) | {"output": {"population": ANSWER, "state": code.state}}
    return replace(network, meta=meta), math.prod(built.input_shapes[INPUT])


def _measured(done: Converted, x: Floats, wanted: Floats, classes: AnyInts | None) -> Converted:
    """Return it with the answers of the float engine and their figures."""
    network, steps = done.network, done.steps
    layer = network.population(ANSWER).layer
    rows = []
    for k in range(0, len(x), _RUN_AT_ONCE):
        part = done.code.given(x[k : k + _RUN_AT_ONCE], steps)
        more = 0 if done.code.once else layer  # a rate code's input goes on, so that every layer is driven alike
        held = np.concatenate([part, np.repeat(part[:, -1:], more, axis=1)], axis=1)
        probe = (ANSWER, done.code.state)
        rows.append(record(network, {INPUT: held}, steps + layer, [probe])[probe][:, layer:])
    answers = np.concatenate(rows)
    own = wanted.argmax(axis=1)
    at = sorted({*(2**k for k in range(steps.bit_length()) if 2**k <= steps), steps})
    chosen = {t: answers[:, t - 1].argmax(axis=1) for t in at}
    return replace(
        done,
        ann_accuracy=None if classes is None else float((own == classes).mean()),
        curve={} if classes is None else {t: float((c == classes).mean()) for t, c in chosen.items()},
        agreement={t: float((c == own).mean()) for t, c in chosen.items()},
        answers=answers,
    )
