"""`BimModule`: one BIM layer as an ordinary torch module, its own configuration beside its weights."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from bimhw.models.bim import cell, complex_state
from bimhw.models.bim.cell import Drive, LayerState, Record
from bimhw.models.bim.config import NETWORK_FIELDS, BimConfig, layer_shapes
from bimhw.models.bim.loops import HALF, widened
from bimhw.models.bim.net import BimLayer, Init
from simulator.base.errors import InputError, unknown_name

Output = Literal["spikes", "filtered", "membrane"]
OUTPUTS: tuple[Output, ...] = ("spikes", "filtered", "membrane")


class BimModule(BimLayer):
    """A BIM layer for a torch model of one's own: [T, B, n_in] -> [T, B, hidden].

    The equations are those of `bimhw.models.bim.cell`. The output y of a step is::

        spikes     y = s       (k_o, 0 by default, then only filters the eligibility traces of online learning)
        filtered   y <- k_o y + (1 - k_o) s             a leaky average: the readout's feature
        membrane   y <- k_membrane y + (1 - k_membrane) V-

    Args:
        n_in: input channels M.
        hidden: neurons H.
        output: what the layer gives to the next module.
        seed: of the initial weights.
        init: scales of the initial weights.
        constants: any other field of `BimConfig` that concerns one layer (``kind``, ``psp``, ``theta``, ``k_o``,
            ``channel_delays``: the longest learnable delay of an input channel, ...).

    Raises:
        InputError: an unknown output, or constants that break a rule of `BimConfig`.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int,
        *,
        output: Output = "spikes",
        seed: int = 0,
        init: Init | None = None,
        **constants: Any,
    ) -> None:
        if output not in OUTPUTS:
            raise unknown_name("BIM: output", output, OUTPUTS)
        for name in sorted(constants):
            if name in NETWORK_FIELDS:
                raise InputError(f"BIM: {name}", "belongs to a whole network, not to one layer", "Leave it out")
            if name not in BimConfig.__struct_fields__:
                known = [field for field in BimConfig.__struct_fields__ if field not in NETWORK_FIELDS]
                raise unknown_name("BIM: option", name, known)
        readout: Literal["spike", "membrane"] = "membrane" if output == "membrane" else "spike"
        if output == "spikes":
            constants.setdefault("k_o", 0.0)
        config = BimConfig(n_in=n_in, hidden=(hidden,), n_out=1, readout=readout, **constants)
        super().__init__(config, 0, init or Init(), torch.Generator().manual_seed(seed))
        self.output: Output = output

    def initial_state(self, batch: int, like: Tensor | None = None) -> LayerState:
        """Return the state before a sequence: zeros of the type and device of `like` (default: the weights)."""
        return cell.zero_state(self.config, 0, batch, self.get_parameter("w_in").detach() if like is None else like)

    def drive(self, x: Tensor) -> Drive:
        """Compute the port values of inputs [.., M]; half-precision products are widened, as states need the bits."""
        z, d, b, c = (None if p is None else widened(p) for p in self.project(x.to(self.get_parameter("w_in").dtype)))
        assert z is not None and d is not None and c is not None
        return Drive(z, d, b, c)

    def run(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        """Run a sequence [T, B, M] from a state (default: zero); return the outputs [T, B, H] and the state after it."""
        self._check(x)
        x, line = self.arriving(x, state and state.line)
        drive = self.drive(x)
        state = state or self.initial_state(x.shape[1], drive.z)
        y, after = self.scan(drive, state)
        return y, after._replace(line=line)

    def scan(self, drive: Drive, state: LayerState) -> tuple[Tensor, LayerState]:
        """Run port values [T, B, ..] step by step in plain torch operations: any device, any gradient."""
        if self.config.kind == "complex":
            state, features, spikes = complex_state.run(self, drive, state)
            return self._narrowed(spikes if self.output == "spikes" else features), state
        outputs = []
        b = drive.b if drive.b is not None else [None] * len(drive.z)
        for parts in zip(drive.z, drive.d, b, drive.c, strict=True):
            state, record = self.advance(Drive(*parts), state)
            outputs.append(self.choose(record, state))
        return torch.stack(outputs), state

    def advance(self, drive: Drive, state: LayerState) -> tuple[LayerState, Record]:
        """Do one step from port values [B, ..]."""
        if self.config.kind == "complex":
            return complex_state.advance(drive, self, state, self.output == "membrane")
        own = self.get_parameter("a_log"), self.get_parameter("d")
        return cell.advance(drive, *own, state, self.config, self.constants, self.output == "membrane")

    def choose(self, record: Record, state: LayerState) -> Tensor:
        """Return the output of a step (or of stacked steps) from its intermediates and the state after it."""
        return self._narrowed(record.s if self.output == "spikes" else state.f)

    def _narrowed(self, y: Tensor) -> Tensor:
        """Return an output in the type of half-precision weights, which the next module has too."""
        kind = self.get_parameter("w_in").dtype
        return y.to(kind) if kind in HALF else y

    def forward(self, x: Tensor) -> Tensor:
        """Run a sequence [T, B, M] from the zero state: outputs [T, B, H]."""
        return self.run(x)[0]

    def check_own(self, what: str) -> None:
        """Raise `InputError` where torch's pruning or a parametrization took the place of a parameter."""
        for name in layer_shapes(self.config, 0):
            if name not in self._parameters and name not in self._buffers:
                raise InputError(
                    f"BIM: {name}",
                    f"is worked out by torch's pruning or a parametrization, and {what} needs the parameter itself",
                    f"Call torch.nn.utils.prune.remove(layer, {name!r}) or parametrize.remove_parametrizations first",
                )

    def _check(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            raise InputError("BIM: input", f"is a {type(x).__name__}", "Give a torch.Tensor")
        if x.ndim != 3 or x.shape[2] != self.config.n_in or not x.shape[0]:
            shape = tuple(x.shape)
            raise InputError(
                "BIM: input", f"has shape {shape}", f"Give [steps, batch, {self.config.n_in}], one step or more"
            )

    def extra_repr(self) -> str:
        """Describe the layer in `print(model)`."""
        c = self.config
        return f"{c.n_in}, {c.hidden[0]}, kind={c.kind!r}, psp={c.psp!r}, output={self.output!r}"
