"""The dense traces of a ``diag`` layer in the layout of the compiled loops; the same values as `bimhw.learning.forms.traces`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bimhw.learning.forms.learner import Gradients
from bimhw.learning.forms.packed_kernels import W, packed_step
from bimhw.learning.forms.trace_layouts import by_name
from bimhw.learning.forms.traces import kernel_constants, trace_words
from bimhw.models.bim.cell import Record
from bimhw.models.bim.loops import Words, call_kernel
from bimhw.models.bim.net import BimLayer
from simulator.base.arrays import Array

WORDS = {"delta": 2, "exp": 3, "alpha": 4}  # of a trace behind the current: v f, i v f, r i v f
_LINE = 64  # bytes: blocks begin at cache lines


class PackedTraces:
    """The traces of one layer for B sequences in parallel.

    Args:
        layer: of kind ``diag`` without adaptive threshold.
        batch: B.
        decay: of E^f; None: the readout filter's.
    """

    def __init__(self, layer: BimLayer, batch: int, decay: float | None = None) -> None:
        self.layer, self.config, self.batch = layer, layer.config, batch
        self.hidden, self.fan_in = self.config.hidden[layer.index], self.config.fan_in(layer.index)
        self.constants, words = kernel_constants(layer, decay), WORDS[self.config.psp]
        self._synapses, self._neurons = (aligned(n, self.constants.dtype) for n in self._sizes(words))

    @property
    def arrays(self) -> Words:
        """The blocks of the synapses and of the neurons, which the compiled loops move."""
        return self._synapses, self._neurons

    def _sizes(self, words: int) -> tuple[int, int]:
        """Return the values of the synapses' and of the neurons' blocks."""
        synapses, neurons = self.hidden * self.batch * -(-self.fan_in // W), -(-self.hidden // W) * self.batch
        return synapses * (3 * words + 2) * W, neurons * (5 * words + 3) * W

    def reset(self) -> None:
        """Zero all traces, before a sequence."""
        self._synapses[:] = 0
        self._neurons[:] = 0

    @property
    def words(self) -> int:
        """Trace words of one sequence (without the padding of the blocks)."""
        return trace_words(self.layer)

    def learn(self, u: Tensor, record: Record, delta: Tensor | None) -> Gradients:
        """Update all traces with the step that ``record`` describes, and weigh them: sum over batch of delta_i E^f_i.

        Args:
            u: [B, M], the layer's inputs.
            record: of the step.
            delta: dL/df [B, H]; None: no label, no gradients.
        """
        weights = [record.v_pre.new_empty(self.hidden, self.fan_in) for _ in range(3)]
        single = record.v_pre.new_empty(5, self.hidden)
        call_kernel(
            packed_step,
            self._synapses,
            self._neurons,
            u.contiguous().numpy(),
            *step_arguments(self.layer, record, delta, self.constants),
            tuple(w.numpy() for w in weights),
            single.numpy(),
        )
        if delta is None:
            return {}
        own = own_gradients(single)
        ports = {port: (w, own[f"b_{port}"]) for port, w in zip(self.layer.ports, weights, strict=True)}
        return own | by_name(self.layer, ports)

    def state(self) -> dict[str, Tensor]:
        """Return all that `load` needs."""
        return {"synapses": torch.tensor(self._synapses), "neurons": torch.tensor(self._neurons)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self._synapses[:], self._neurons[:] = state["synapses"].numpy(), state["neurons"].numpy()


def step_arguments(layer: BimLayer, record: Record, delta: Tensor | None, constants: Any) -> tuple[Any, ...]:
    """Return the arguments of the compiled loops for a step: per-neuron values, A_log, D, constants, flags, kernel shape."""
    config, v_pre, drive = layer.config, record.v_pre, record.drive
    m = torch.ones_like(v_pre) if record.m is None else record.m
    error = torch.zeros_like(v_pre) if delta is None else delta
    state = [record.delta, record.abar, record.x_old, record.x_new, v_pre, record.s]
    given = tuple(t.contiguous().numpy() for t in (*state, m, drive.z, drive.d, drive.c, error))
    membrane = config.reads_membrane(layer.index)
    flags = (config.reset == "hard", config.detach_reset, config.surrogate == "triangle", membrane)
    a_log, d = (layer.get_parameter(n).detach().numpy() for n in ("a_log", "d"))
    return given, a_log, d, constants, flags, (0,) * WORDS[config.psp]


def own_gradients(single: Tensor) -> Gradients:
    """Return the rows that the compiled loops write for what neurons own, by parameter name."""
    return dict(zip(("b_in", "b_delta", "a_log", "b_c", "d"), single.unbind(0), strict=True))


def aligned(size: int, kind: npt.DTypeLike) -> Array:
    """Return zeros that begin at a cache line."""
    dtype = np.dtype(kind)
    space = np.zeros(size + _LINE // dtype.itemsize, dtype)
    skip = (-space.ctypes.data % _LINE) // dtype.itemsize
    return space[skip : skip + size]
