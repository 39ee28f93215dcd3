"""`BIM`: a BIM layer with compiled loops on the CPU, plain torch anywhere else, and online learning for any loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bimhw.learning.forms.bptt import layer_loop
from bimhw.models.bim.cell import LayerState
from bimhw.models.bim.loops import takes_loops, without_loops
from bimhw.models.bim.module import BimModule, Output
from bimhw.models.bim.net import Init, RunLayer
from bimhw.nn.online import Credit, Online
from simulator.base.errors import InputError

# torch.compile does not see into the loops
_fused: Callable[[RunLayer], RunLayer] = torch.compiler.disable


def _followed() -> bool:
    """Return whether `torch.export` or a transform of `torch.func` follows what is computed: it cannot see into the loops."""
    return torch.compiler.is_exporting() or bool(torch._C._are_functorch_transforms_active())


class BIM(BimModule):
    """A BIM layer: selective state, PSP kernel, spiking neurons. See `BimModule` for shapes, outputs and constants.

    Offline, ``forward`` is differentiable by autograd: on the CPU by one compiled loop forward and one backward, elsewhere
    by torch operations; the equations are the same, gradients agree to rounding.

    Online, ``observe`` takes one step [B, n_in] and returns its output [B, hidden]. Any loss on it (behind any head) may call
    ``backward()``, once a step at most: the gradient of the layer's own parameters is that of BPTT while weights stand still
    (``form="rtrl"``). What flows on to modules below it is the credit rule's same-step approximation::

        inst       the exact Jacobian of this step through all ports
        filt-inst  the same without the readout filter's factor (1 - k_o)
        filt-win   W_in^T (psi dL/dy), the input port alone

    Args:
        n_in: input channels.
        hidden: neurons.
        output: ``spikes``, ``filtered`` or ``membrane``.
        form: gradient form of ``observe``: ``rtrl`` (dense traces, at every step), ``seq`` (one sweep, at ``finish``), ``tr``
            (a sweep over ``block`` + ``lookback`` steps every ``block``), ``blk`` (exact, dense work once in ``block`` steps),
            or one of your own that `bimhw.learning.rules.registry.register_form` made known.
        credit: what ``observe`` sends to modules below.
        block: K of ``tr`` and ``blk``.
        lookback: L of ``tr``.
        seed: of the initial weights.
        init: scales of the initial weights.
        constants: fields of `BimConfig` that concern one layer.

    Raises:
        InputError: an option that is not known, or constants that break a rule.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int,
        *,
        output: Output = "spikes",
        form: str = "rtrl",
        credit: Credit = "inst",
        block: int = 16,
        lookback: int = 32,
        seed: int = 0,
        init: Init | None = None,
        **constants: Any,
    ) -> None:
        super().__init__(n_in, hidden, output=output, seed=seed, init=init, **constants)
        self.online = Online(self, form, credit, block, lookback)

    def run(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        """See `BimModule.run`; on the CPU by the compiled loops, unless torch follows each operation."""
        self._check(x)
        if _followed():
            with without_loops():
                return super().run(x, state)
        x, line = self.arriving(x, state and state.line)
        drive = self.drive(x)
        state = state or self.initial_state(x.shape[1], drive.z)
        loops = takes_loops(drive.z) and takes_loops(self.get_parameter("w_in"))
        fast = layer_loop(self.config) if loops else None
        if fast is None:
            y, after = self.scan(drive, state)
            return y, after._replace(line=line)
        after, features, spikes = _fused(fast)(self, drive, state)
        return spikes if self.output == "spikes" else features, after._replace(line=line)

    def observe(self, x: Tensor) -> Tensor:
        """Do one step of inputs [B, n_in] online; the output [B, hidden] carries the gradient (see the class).

        Raises:
            InputError: an input of another shape, or another batch than the sequence began with.
        """
        if x.ndim != 2 or x.shape[1] != self.config.n_in:
            raise InputError("BIM: step", f"has shape {tuple(x.shape)}", f"Give [batch, {self.config.n_in}]")
        return self.online.observe(x)

    def backward(self, error: Tensor) -> Tensor | None:
        """Add the gradient of the newest step to ``.grad``, given dL/dy [B, hidden] of it; return what flows to the input.

        The same as ``loss.backward()`` for users who work out dL/dy by hand.
        """
        return self.online.backward(error)

    def finish(self, messages: Tensor | None = None) -> Tensor | None:
        """Sweep what is due (``seq``, ``tr``, ``blk``) into ``.grad``; return dL/dx [T, B, n_in] of the swept steps.

        Args:
            messages: dL/ds [T, B, hidden] of the same steps from the layer above, as its own ``finish`` returned.
        """
        return self.online.finish(messages)

    def reset(self) -> None:
        """Begin a new sequence online: zero state, zero traces."""
        self.online.reset()
