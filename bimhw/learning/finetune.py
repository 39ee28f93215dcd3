"""Quantisation-aware fine-tuning: BPTT that sees the weights which the compiler would store.

Every forward pass runs with the stored integers' real values, by the compiler's own choice of scales, rounding and clipping; the
gradient passes to the float weights as if they had been used (straight-through estimator, Bengio et al. 2013, arXiv:1308.3432).
States and constants stay float: the chip's are finer than its weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bimhw.compiler.calibrate import Calibration, calibrate
from bimhw.compiler.data import guessed_task, training_payloads
from bimhw.compiler.lower.network import store_weights
from bimhw.compiler.options import CompileOptions
from bimhw.frontends.bim import bim_network
from bimhw.frontends.checkpoints import module_network
from bimhw.frontends.model_meta import INPUT
from bimhw.learning.device import placed_on, torch_device
from bimhw.learning.evaluate import evaluate
from bimhw.learning.forms.bptt import run_compiled
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.train import Trainer, check_fit
from bimhw.models.bim.net import BimNet, NetState, Run, as_bim
from bimhw.models.io import check_output, load_model, save_model
from bimhw.models.tensors import as_array
from bimhw.tasks.base import Task
from bimhw.tasks.own import OwnSamples, own_samples
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.program.graph import csr_to_dense

FINE_TUNING = TrainSettings(rule="bptt", epochs=30, lr=0.006, lr_end=0.02)


class RoundedWeights:
    """A network run with its weights as the compiler would store them.

    Args:
        net: whose weights are rounded; they stay as they are.
        options: of the compiler: bits, per_row, free_scales.
        calibration: of this network, before it is trained further.
    """

    def __init__(self, net: BimNet, options: CompileOptions, calibration: Calibration) -> None:
        self.net, self.options, self.calibration = net, options, calibration
        self._origins, self._shapes = _origins(net)
        self._runner = _Runner(net)

    def values(self) -> dict[str, Floats]:
        """Return parameter name -> the real values of the stored integers."""
        network = module_network(self.net)
        scales = {INPUT: self.net.config.input_scale}
        stored = store_weights(network, self.calibration, self.options, scales)
        flat = np.zeros(sum(math.prod(shape) for shape in self._shapes.values()))
        for name, origin in self._origins.items():
            held = origin >= 0
            flat[origin[held]] = stored.real(name, len(origin))[held]
        sizes = np.cumsum([math.prod(shape) for shape in self._shapes.values()])
        parts = zip(self._shapes.items(), np.split(flat, sizes[:-1]), strict=True)
        return {name: part.reshape(shape) for (name, shape), part in parts}

    def run(self, x: Tensor, state: NetState | None = None) -> Run:
        """Run `run_compiled` with rounded weights; gradients reach the float ones unchanged."""
        parameters = dict(self.net.named_parameters())
        swapped = {}
        for name, value in self.values().items():
            weight = parameters[name]
            swapped[f"net.{name}"] = weight + (torch.from_numpy(value).to(weight) - weight).detach()
        result: Run = torch.func.functional_call(self._runner, swapped, (x, state))
        return result

    @torch.no_grad()
    def keep(self) -> None:
        """Make the rounded weights the network's own."""
        parameters = dict(self.net.named_parameters())
        for name, value in self.values().items():
            parameters[name].copy_(torch.from_numpy(value))


def _origins(net: BimNet) -> tuple[dict[str, I64], dict[str, tuple[int, ...]]]:
    """Find where the front end puts each weight: lower a model whose weights are their own numbers.

    Returns:
        Projection -> number of each of its weights [n_target, n_source], -1: none of the model's; and the shapes of the weight
        parameters, whose elements are numbered through in this order.
    """
    arrays = {name: as_array(value).astype(np.float64) for name, value in net.named_parameters()}
    shapes = {name: value.shape for name, value in arrays.items() if value.ndim == 2 and name.split(".")[-1] != "a_log"}
    first = 2  # 0: no synapse; 1: a wire of the front end's own
    for name, shape in shapes.items():
        arrays[name] = np.arange(first, first + math.prod(shape), dtype=np.float64).reshape(shape)
        first += math.prod(shape)
    network = bim_network(net.config, arrays)
    numbers = {q.name: csr_to_dense(q, network.population(q.target).size) for q in network.projections}
    return {name: np.maximum(n.astype(np.int64) - 2, -1) for name, n in numbers.items()}, shapes


class _Runner(nn.Module):
    """`run_compiled` as a module, so that its parameters can be exchanged for a call."""

    def __init__(self, net: BimNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, state: NetState | None) -> Run:
        return run_compiled(self.net, x, state)


@dataclass(frozen=True, eq=False, repr=False)
class FineTuned(Shown):
    """A network whose weights are those that the compiler stores.

    Attributes:
        model: with the rounded weights.
        options: of the compiler that it is meant for.
        float_accuracy: of the model given, on the test split.
        rounded_accuracy: of the model given with its weights rounded.
        accuracy: of the fine-tuned model (rounded weights, float states).
        updates: of the weights.
    """

    model: BimNet
    options: CompileOptions
    float_accuracy: float
    rounded_accuracy: float
    accuracy: float
    updates: int


def finetune(
    model: BimNet | str | Path,
    task: str | Task | OwnSamples | None = None,
    output: str | Path | None = None,
    *,
    bits: int = 8,
    per_row: bool = False,
    free_scales: bool = False,
    epochs: int = FINE_TUNING.epochs,
    lr: float = FINE_TUNING.lr,
    batch: int = FINE_TUNING.batch,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> FineTuned:
    """Train a network further with the weights that a chip would store.

    Args:
        model: a network or its file; not changed.
        task: name or task that it was trained on, or labelled samples (`Dataset.open`); digits models are recognised.
        output: model file to write; compiled with the same options it stores exactly the weights that were trained.
        bits, per_row, free_scales: as in `bimhw.compile`.
        epochs, lr, batch: of the fine-tuning, by BPTT with Adam and cosine decay.
        seed: of the order of the data and the choice of calibration samples.
        threads: of torch; another number may sum in another order.
        device: of the fine-tuning, by torch's name.
        progress: called with the number of sequences done since the last call.

    Raises:
        InputError: a bad option, no such device, a model that does not fit the task, or the loss is no longer finite.
        FitError: a kind of model that has no lowering.
    """
    options = CompileOptions(bits=bits, per_row=per_row, free_scales=free_scales)
    settings = TrainSettings(rule="bptt", epochs=epochs, lr=lr, lr_end=FINE_TUNING.lr_end, batch=batch, seed=seed)
    torch_device(device)
    if isinstance(model, str | Path) and Path(model).suffix in (".nir", ".net", ".npz", ".bimhw", ".yaml", ".yml"):
        raise InputError(
            str(model),
            "holds a network that its own framework trains",
            "Fine-tune it there, or compile it with --per-row",
        )
    net = deepcopy(model) if isinstance(model, BimNet) else as_bim(load_model(model), "fine-tuning")
    if output is not None:
        check_output(output)
    data = _task(net, task)
    check_fit(data, net.config)
    with torch_threads(threads):
        tuned = _tuned(net, data, options, settings, progress or (lambda _: None), torch_device(device))
    if output is not None:
        save_model(net, output)
    return tuned


def _tuned(
    net: BimNet,
    data: Task,
    options: CompileOptions,
    settings: TrainSettings,
    progress: Callable[[int], None],
    device: torch.device,
) -> FineTuned:
    before, seed = evaluate(net, data).accuracy, settings.seed
    rounded = RoundedWeights(net, options, _calibrated(net, data, seed))
    plain = deepcopy(net)
    RoundedWeights(plain, options, rounded.calibration).keep()
    without = evaluate(plain, data).accuracy
    with placed_on(net, device), _fixed_delays(net):  # which projection holds a weight depends on them
        trainer = Trainer(net, data, settings, rounded.run)
        for number in range(1, settings.epochs + 1):
            trainer.epoch(number, progress)
    rounded.keep()
    return FineTuned(net, options, before, without, evaluate(net, data).accuracy, trainer.updater.updates)


@contextmanager
def _fixed_delays(net: BimNet) -> Iterator[None]:
    """Train no learnable delay within the block."""
    delays = [p for name, p in net.named_parameters() if name.endswith("delay") and p.requires_grad]
    for p in delays:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in delays:
            p.requires_grad_(True)


def _task(net: BimNet, task: str | Task | OwnSamples | None) -> Task:
    if isinstance(task, Task):
        return task
    own = own_samples(task)
    if own is not None:
        return own.task(net.config.n_in, net.config.input_scale, classes=net.config.n_out)
    from bimhw.tasks import load_task

    name = guessed_task(module_network(net)) if task is None else str(task)
    if not name:
        raise InputError("task", "is not given, and the model is none of the digits'", "Give --task NAME")
    return load_task(name)


def _calibrated(net: BimNet, task: Task, seed: int) -> Calibration:
    values = training_payloads(task, seed).astype(np.float64) * net.config.input_scale
    return calibrate(module_network(net), {INPUT: values}, f"training samples of {task.name}")
