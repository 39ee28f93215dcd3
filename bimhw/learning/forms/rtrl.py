"""Online learning by exact forward traces (real-time recurrent learning), dense form."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from bimhw.learning.forms.credit import Credit, CreditAssigner
from bimhw.learning.forms.learner import (
    Ends,
    Gradients,
    StepResult,
    check_step,
    network_checkpoint,
    network_state,
    readout_gradients,
)
from bimhw.learning.forms.norms import NormStatistics
from bimhw.learning.forms.traces import LayerTraces, trace_words
from bimhw.learning.rules.homeostasis import Homeostasis
from bimhw.models.bim.cell import Record
from bimhw.models.bim.loops import cell_is_fused, takes_loops
from bimhw.models.bim.net import BimLayer, BimNet, NetState
from simulator.base.host_memory import check_memory

_LARGE = 2**30  # bytes of traces from which on it is asked whether they fit


class RtrlLearner(Ends):
    """Runs a network step by step and keeps the traces that give its gradient at every step.

    The gradient of a layer's own parameters is exact for the top layer (equal to BPTT while the weights are frozen); how the
    error reaches lower layers is the credit rule's.

    Args:
        net: the network; its parameters are read at every step, so they may change between steps.
        batch: sequences in parallel.
        credit: see `bimhw.learning.forms.credit`.
        seed: of the credit rule's random matrices.
        frozen: train the readout only (no traces).
        homeostasis: rate regulariser.
        k_credit: decay of the lower layers' eligibility E^f; None: the readout filter's. The error of a step reaches them late,
            through the memory of the layers above, so a longer eligibility is nearer to the exact gradient; with a dense
            readout the part that the readout itself sends them is then no longer exact.
    """

    def __init__(
        self,
        net: BimNet,
        batch: int,
        credit: Credit = "filt-win",
        seed: int = 0,
        frozen: bool = False,
        homeostasis: Homeostasis | None = None,
        k_credit: float | None = None,
    ) -> None:
        super().__init__()
        self.homeostasis = homeostasis
        self.net, self.batch, self.frozen = net, batch, frozen
        self.credit = CreditAssigner(net, credit, seed)
        layers = [] if frozen else [net.layer(i) for i in range(net.config.n_layers)]
        decays = [k_credit] * (len(layers) - 1) + [None]
        _check_traces(layers, batch)
        self.traces = [make_traces(x, batch, self.credit.same_step, k) for x, k in zip(layers, decays, strict=False)]
        normed = range(net.config.n_layers if net.config.norm == "batch" else 0)
        self.norms = [NormStatistics(net.layer(i)) for i in normed]
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence: zero state, zero traces."""
        self.finish()
        self.state: NetState = self.net.initial_state(self.batch)
        self.records: list[Record] = []
        self.inputs: list[Tensor] = []
        self.credit.reset()
        for traces in self.traces:
            traces.reset()

    @torch.no_grad()
    def observe(self, u: Tensor, target: Tensor | None, weight: float = 1.0) -> StepResult:
        """See `Learner`: gradients at every labelled step."""
        check_step(u, self.batch, self.net.readout.weight, self.net.config.n_in)
        logits, self.state, self.records, _, self.inputs = self.net.take(u, self.state)
        self.credit.observe(self.records)
        if self.homeostasis is not None:
            self.homeostasis.observe([r.s for r in self.records])
        result = self._learn(logits, target, weight)
        for norm, record in zip(self.norms, self.records, strict=False):
            norm.observe(record)
            if norm.due:
                norm.move()
        return result

    def _learn(self, logits: Tensor, target: Tensor | None, weight: float) -> StepResult:
        if target is None:
            self._advance(None)
            return StepResult(logits, None, None)
        loss, error = self.loss_of(logits, target, weight)
        gradients = readout_gradients(self.net, self.state, error)
        if not self.frozen:
            signals = self.credit.signals(error, target, weight, self.records, self.state.layers)
            if self.homeostasis is not None:
                signals = self.homeostasis.add(signals, weight)
            gradients |= self._advance(signals)
            if self.sends_below:
                self.below = self.credit.to_inputs(signals[0], self.records[0])[None]
        return StepResult(logits, loss, gradients)

    def _advance(self, signals: list[Tensor] | None) -> Gradients:
        """Move the traces of all layers by the newest step; with error signals also the hidden layers' gradients."""
        out: Gradients = {}
        for i, traces in enumerate(self.traces):
            own = self._advance_layer(i, traces, None if signals is None else signals[i])
            out |= {f"layers.{i}.{name}": g for name, g in own.items()}
        return out

    def _advance_layer(self, index: int, traces: Traces, delta: Tensor | None) -> Gradients:
        inputs, record = self.inputs[index], self.records[index]
        if delta is None or not self._uses_v_pre(index):
            return traces.learn(inputs, record, delta)
        assert isinstance(traces, LayerTraces)
        traces.advance(inputs, record)
        return traces.gradient(delta, traces.ev_pre)

    def finish(self) -> None:
        """End a sequence: running statistics of norms move; no gradient is left over."""
        for norm in self.norms:
            norm.move()

    def settle(self) -> None:
        """Do nothing: weights are always up to date."""

    def checkpoint(self) -> dict[str, Any]:
        """See `Learner`."""
        return network_checkpoint(self.state) | {
            "traces": [t.state() for t in self.traces],
            "slopes": [s.clone() for s in self.credit.slopes],
            "norms": [n.state() for n in self.norms],
        }

    def restore(self, content: dict[str, Any]) -> None:
        """See `Learner`."""
        self.state = network_state(content)
        self.credit.slopes = list(content["slopes"])
        for traces, held in zip(self.traces, content["traces"], strict=True):
            traces.load(held)
        for norm, held in zip(self.norms, content.get("norms", []), strict=True):
            norm.load(held)

    @property
    def memory_words(self) -> int:
        """Trace words of one sequence, and the words of norms."""
        norms = sum(4 * n.sums.shape[1] for n in self.norms)
        return sum(t.words for t in self.traces) + self.credit.words + norms

    def _uses_v_pre(self, index: int) -> bool:
        """Return True where ``inst`` uses E^V-: below the top layer, which is always exact (E^f)."""
        return self.credit.same_step and index < self.net.config.n_layers - 1


def _check_traces(layers: list[BimLayer], batch: int) -> None:
    """Raise `InputError` for traces that do not fit into memory; small ones are not looked at."""
    need = sum(trace_words(x) * x.get_parameter("w_in").element_size() for x in layers) * batch
    if need > _LARGE:
        way_out = (
            "Take --rule tbptt (texts) or bptt, fewer streams (--batch), or fewer words (--task-option vocabulary=1000)"
        )
        check_memory(need, "rule rtrl", f"the traces of {batch} sequences", way_out)


class Traces(Protocol):
    """The traces of one layer."""

    def reset(self) -> None:
        """Zero all traces, before a sequence."""

    def learn(self, u: Tensor, record: Record, delta: Tensor | None) -> Gradients:
        """Move the traces by a step; the gradients by parameter name if there is an error signal at the features."""

    def state(self) -> dict[str, Tensor]:
        """Return all that `load` needs."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""

    @property
    def words(self) -> int:
        """Trace words of one sequence."""


def make_traces(layer: BimLayer, batch: int, keep_v_pre: bool, decay: float | None = None) -> Traces:
    """Make the compiled traces where they know the layer, otherwise the same equations as tensor operations."""
    s6 = layer.config.kind == "s6" and not layer.config.adapt_beta
    if keep_v_pre or not (s6 or cell_is_fused(layer.config)) or not takes_loops(layer.get_parameter("w_in")):
        return LayerTraces(layer, batch, keep_v_pre, decay)
    if s6:
        from bimhw.learning.forms.packed_s6 import PackedS6Traces

        return PackedS6Traces(layer, batch, decay)
    from bimhw.learning.forms.packed import PackedTraces

    return PackedTraces(layer, batch, decay)
