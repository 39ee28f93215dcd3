"""The dense traces of an ``s6`` layer in the layout of the compiled loops; the same values as `bimhw.learning.forms.traces`."""

from __future__ import annotations

import torch
from torch import Tensor

from bimhw.learning.forms.learner import Gradients
from bimhw.learning.forms.packed import WORDS, PackedTraces
from bimhw.learning.forms.packed_kernels import W
from bimhw.learning.forms.s6_kernels import block_words, own_words, packed_s6_step
from bimhw.learning.forms.trace_layouts import by_name
from bimhw.learning.forms.traces import reset_factor, spike_slope
from bimhw.models.bim.cell import Record
from bimhw.models.bim.loops import call_kernel


class PackedS6Traces(PackedTraces):
    """The traces of one layer of kind ``s6`` for B sequences in parallel; arguments as of `PackedTraces`."""

    def _sizes(self, words: int) -> tuple[int, int]:
        pairs, n = self.hidden * self.batch, self.config.n_states
        return pairs * (self.fan_in // W + 1) * block_words(n, words) * W, pairs * own_words(n, words)

    def learn(self, u: Tensor, record: Record, delta: Tensor | None) -> Gradients:
        """Update all traces with the step that ``record`` describes, and weigh them: sum over batch of delta_i E^f_i.

        Args:
            u: [B, M], the layer's inputs.
            record: of the step.
            delta: dL/df [B, H]; None: no label, no gradients.
        """
        drive, v_pre, n = record.drive, record.v_pre, self.config.n_states
        assert drive.b is not None
        psi = spike_slope(record, self.config)
        keep = reset_factor(record, self.config, psi)
        read = torch.ones_like(psi) if self.config.reads_membrane(self.layer.index) else psi
        error = torch.zeros_like(v_pre) if delta is None else delta
        slope = (1 - float(self.constants[6])) * read
        given = (record.abar, record.gain, record.x_old, record.x_new, drive.b, drive.c)
        neurons = (record.delta, drive.z, drive.d, error, keep, slope)
        a_log, d = (self.layer.get_parameter(name).detach() for name in ("a_log", "d"))
        rows = v_pre.new_empty(2, self.hidden, self.fan_in + 1)
        shared = v_pre.new_empty(n, 2, self.fan_in + 1)
        single = v_pre.new_empty(self.hidden, n + 1)
        call_kernel(
            packed_s6_step,
            self._synapses,
            self._neurons,
            u.contiguous().numpy(),
            tuple(t.contiguous().numpy() for t in given),
            tuple(t.contiguous().numpy() for t in neurons),
            a_log.exp().numpy(),
            d.numpy(),
            self.constants,
            self.config.discretisation == "zoh",
            (0,) * WORDS[self.config.psp],
            *(t.numpy() for t in (rows, shared, single)),
        )
        if delta is None:
            return {}
        ports = {"in": rows[0], "delta": rows[1], "b": shared[:, 0], "c": shared[:, 1]}
        own = {"a_log": single[:, :n], "d": single[:, n]}
        return own | by_name(self.layer, {name: (g[:, :-1], g[:, -1]) for name, g in ports.items()})
