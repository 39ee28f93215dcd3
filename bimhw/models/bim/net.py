"""`BimNet`: layers of BIM neurons and a linear readout, as a torch module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.models.bim import cell, complex_state
from bimhw.models.bim.cell import Drive, LayerState, Record
from bimhw.models.bim.config import RUNNING, BimConfig, layer_shapes, mask_shapes
from bimhw.models.bim.delays import Axons, drawn_shares
from bimhw.models.bim.initial import Init as Init
from bimhw.models.bim.initial import initial, is_trained
from bimhw.models.bim.loops import cell_is_fused, takes_loops
from bimhw.models.nets import Net
from bimhw.models.orthogonal import orthogonal_start
from bimhw.models.registry import family_of
from simulator.base.errors import InputError


class NetState(NamedTuple):
    """State between steps: of every layer, and the newest inputs for the delay taps (newest first, [depth, B, n_in])."""

    layers: tuple[LayerState, ...]
    taps: Tensor


class Step(NamedTuple):
    """Result of a step: logits [B, C], the state after it, and of each layer the intermediates, sources and delayed inputs."""

    logits: Tensor
    state: NetState
    records: list[Record]
    sources: list[Tensor]  # [B, M] of this step, before any learnable delay
    inputs: list[Tensor]  # [B, M] as they arrive


class Run(NamedTuple):
    """Result of a sequence: logits [T, B, C], spikes of each layer [T, B, H], the state after it."""

    logits: Tensor
    spikes: tuple[Tensor, ...]
    state: NetState


class BimLayer(nn.Module):
    """Parameters of one layer; masks are optional bool buffers ``mask_in``, ``mask_delta``, ... (False: no synapse)."""

    def __init__(self, config: BimConfig, index: int, init: Init, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.index, self.constants = config, index, config.constants()
        gains = {"w_in": init.gain_in, "w_delta": init.gain_delta, "w_b": init.gain_c, "w_c": init.gain_c}
        for name, shape in layer_shapes(config, index).items():
            if name in gains:
                value = torch.randn(shape, generator=generator) * (gains[name] / math.sqrt(shape[1]))
                if name == "w_in" and index and init.mixing != "normal":
                    rows, columns = shape
                    scale = gains[name] * math.sqrt(max(rows, columns) / columns)
                    value = scale * orthogonal_start(rows, columns, init.mixing, generator)
            elif name == "delay":  # drawn apart: weights are those of a network without delays
                value = drawn_shares(shape[0], init.delay_start, generator.initial_seed(), index)
            else:
                value = initial(name, shape, init, generator)
            if name in RUNNING:
                self.register_buffer(name, value)
                continue
            if name in ("omega", "c_im") and not config.rotate:
                value = torch.zeros(shape)
            trained = is_trained(name, config)
            self.register_parameter(name, nn.Parameter(value, requires_grad=trained))

    def get_parameter(self, target: str) -> nn.Parameter:
        """Do as torch's, without walking through names: online learning asks a dozen times a step."""
        found = self._parameters.get(target)
        if found is None and isinstance(made := getattr(self, target, None), Tensor):
            return cast(nn.Parameter, made)  # what torch's pruning or a parametrization makes of its own parameters
        return super().get_parameter(target) if found is None else found

    def weight(self, port: str) -> Tensor:
        """Return the weights [H or N, M] of a port (in, delta, b, c), pruned synapses as 0."""
        value: Tensor = self.get_parameter(f"w_{port}")
        mask = self._buffers.get(f"mask_{port}")
        return value if mask is None else value * mask

    def bias(self, port: str) -> Tensor:
        """Return the bias of a port."""
        return self.get_parameter(f"b_{port}")

    @property
    def ports(self) -> tuple[str, ...]:
        """The synaptic ports."""
        return ("in", "delta", "b", "c") if self.config.kind == "s6" else ("in", "delta", "c")

    @property
    def axons(self) -> Axons | None:
        """The learnable delays of the inputs, or None."""
        longest = self.config.longest_delay(self.index)
        return Axons.of(self.get_parameter("delay"), longest, self.config.delay_width) if longest else None

    def arriving(self, u: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pass inputs [T, B, M] through the learnable delays; return also the line of newest inputs to keep."""
        axons = self.axons
        if axons is None:
            return u, u.new_zeros(0) if past is None else past
        line = axons.line(u, past)
        return axons.through(line, self.get_parameter("delay")), axons.newest(line)

    def delay_slope(self, u: Tensor, past: Tensor | None) -> Tensor | None:
        """Return the slope [T, B, M] of the delayed inputs over their delays, or None where no delay is learnt."""
        axons = self.axons
        if axons is None or not self.get_parameter("delay").requires_grad:
            return None
        return axons.slope(axons.line(u, past))

    def project(self, u: Tensor, loops: bool = False) -> Drive:
        """Project inputs [.., M] to port values; `loops`: for compiled loops, which have no second derivative either."""
        fast = loops or not torch.is_grad_enabled()
        values = (self._by_events(u) if fast else None) or {
            p: functional.linear(u, self.weight(p), self.bias(p)) for p in self.ports
        }
        return Drive(values["in"], values["delta"], values.get("b"), values["c"])

    def _by_events(self, u: Tensor) -> dict[str, Tensor] | None:
        """Return the port values where the compiled loops serve and few inputs are not 0."""
        steps = u.numel() // max(u.shape[-1], 1)
        if steps < _MANY or not (takes_loops(u) and takes_loops(self.get_parameter("w_in"))):
            return None
        from bimhw.models.bim.events import Project, few_events

        if not few_events(u.detach()):
            return None
        given = [part for p in self.ports for part in (self.weight(p), self.bias(p))]
        return dict(zip(self.ports, Project.apply(u, *given), strict=True))  # type: ignore[no-untyped-call]

    @property
    def fused(self) -> bool:
        """True if the compiled loop runs this layer now (it gives no gradients)."""
        if torch.is_grad_enabled() or not cell_is_fused(self.config):
            return False
        return takes_loops(self.get_parameter("w_in"))

    def sequence(self, drive: Drive, state: LayerState) -> tuple[LayerState, Record, Tensor]:
        """Run all steps of port values [T, ..] in the compiled loop: end state, stacked record, features [T, B, H]."""
        from bimhw.models.bim import fused

        a_log, d = self.get_parameter("a_log").detach(), self.get_parameter("d").detach()
        membrane = self.config.reads_membrane(self.index)
        return fused.run(drive, a_log, d, state, self.config, self.constants, membrane)

    def step(self, drive: Drive, state: LayerState) -> tuple[LayerState, Record]:
        """Take one step from port values."""
        membrane = self.config.reads_membrane(self.index)
        if self.fused:
            from bimhw.models.bim import fused

            a_log, d = self.get_parameter("a_log").detach(), self.get_parameter("d").detach()
            return fused.step(drive, a_log, d, state, self.config, self.constants, membrane)
        if self.config.kind == "complex":
            return complex_state.advance(drive, self, state, membrane)
        owned = self.get_parameter("a_log"), self.get_parameter("d")
        return cell.advance(drive, *owned, state, self.config, self.constants, membrane)


_MANY = 128  # rows of inputs from which on going by events is worth turning the weights over

# (layer, port values of all steps, state) -> (state after them, features, spikes [T, B, H])
RunLayer = Callable[[BimLayer, Drive, LayerState], tuple[LayerState, Tensor, Tensor]]


class BimNet(Net):
    """A BIM network. Layer l+1 sees the spikes of layer l of the same step (a chip's layers are one step later each).

    Args:
        config: shape and constants.
        seed: of the initial weights.
        init: their scales.
    """

    config: BimConfig

    def __init__(self, config: BimConfig, seed: int = 0, init: Init | None = None) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        init = init or Init()
        self.layers = nn.ModuleList(BimLayer(config, i, init, generator) for i in range(config.n_layers))
        self.readout = nn.Linear(config.n_features, config.n_out)
        with torch.no_grad():
            self.readout.weight.zero_()
            self.readout.bias.zero_()

    def layer(self, index: int) -> BimLayer:
        """Return a layer by its 0-based index."""
        layer = self.layers[index]
        assert isinstance(layer, BimLayer)
        return layer

    def add_mask(self, name: str, mask: Tensor) -> None:
        """Prune synapses: ``name`` as in a checkpoint (``layers.0.mask_in``), False where there is none.

        Raises:
            InputError: no such mask, or its shape differs.
        """
        shapes = mask_shapes(self.config)
        if name not in shapes or tuple(mask.shape) != shapes[name]:
            raise InputError(f"mask {name!r}", f"of shape {tuple(mask.shape)} does not belong to this network")
        _, index, leaf = name.split(".")
        self.layer(int(index)).register_buffer(leaf, mask.bool())

    def initial_state(self, batch: int) -> NetState:
        """Return the state before a sequence."""
        like = self.readout.weight
        layers = tuple(cell.zero_state(self.config, i, batch, like) for i in range(self.config.n_layers))
        depth = max(self.config.input_delays)
        return NetState(layers, like.new_zeros(depth, batch, self.config.n_in))

    def features(self, fs: list[Tensor]) -> Tensor:
        """Return the readout's input [.., F] from the features of all layers."""
        return torch.cat(fs, -1) if self.config.dense_readout else fs[-1]

    def step(self, u: Tensor, state: NetState) -> tuple[Tensor, NetState, list[Record]]:
        """Take one step of inputs [B, n_in]: logits [B, C], the new state, the intermediates of each layer."""
        return self.take(u, state)[:3]

    def take(self, u: Tensor, state: NetState) -> Step:
        """Do as `step`; return also what each layer received."""
        signal, taps = self.delayed(u[None], state.taps)
        layers, records, sources, inputs = [], [], [], []
        for i, old in enumerate(state.layers):
            layer = self.layer(i)
            arriving, line = layer.arriving(signal, old.line)
            new, record = layer.step(layer.project(arriving[0]), old)
            layers.append(new._replace(line=line))
            records.append(record)
            sources.append(signal[0])
            inputs.append(arriving[0])
            signal = self.above(i, signal, record.s[None])
        logits = self.readout(self.features([s.f for s in layers]))
        return Step(logits, NetState(tuple(layers), taps), records, sources, inputs)

    def run(self, x: Tensor, state: NetState | None = None, run_layer: RunLayer | None = None) -> Run:
        """Run a sequence of inputs [T, B, n_in]; projections of all steps at once, the recurrence step by step.

        Args:
            x: the inputs.
            state: before the first step; None: zero.
            run_layer: takes a layer through all steps in another way (`bimhw.learning.forms.bptt`); None: by autograd's
                operations, without gradients by the compiled loop.
        """
        state = state or self.initial_state(x.shape[1])
        signal, taps = self.delayed(x, state.taps)
        ends, features, spikes = [], [], []
        for i, old in enumerate(state.layers):
            layer = self.layer(i)
            arriving, line = layer.arriving(signal, old.line)
            end, f, s = (run_layer or _run_layer)(layer, layer.project(arriving, run_layer is not None), old)
            ends.append(end._replace(line=line))
            features.append(f)
            spikes.append(s)
            signal = self.above(i, signal, s)
        logits = self.readout(self.features(features))
        return Run(logits, tuple(spikes), NetState(tuple(ends), taps))

    def above(self, index: int, u: Tensor, s: Tensor) -> Tensor:
        """Return what the layer above a layer reads [.., H], of what the layer itself read (undelayed) and its spikes."""
        return u + s if self.config.residual and 0 < index < self.config.n_layers - 1 else s

    def below(self, down: Tensor, further: Tensor | None) -> Tensor:
        """Return dL/ds [.., H] of a layer's spikes: what the layer above sends, and what those above it do where it adds up."""
        return down if further is None or not self.config.residual else down + further

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> Run:
        """Run inputs [T, B, n_in]; nothing is random."""
        return self.run(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [T, B, C] of a sequence [T, B, n_in] from the zero state."""
        return self.run(x).logits

    def delayed(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Pass inputs [T, B, M] of layer 1 through the axonal delays; return also the newest inputs to keep."""
        depth = len(past)
        if self.config.input_delays == (0,):
            return x, past
        line = torch.cat([past.flip(0), x])  # oldest first; x[t] is line[t + depth]
        taps = [line[depth - d : depth - d + len(x)] for d in self.config.input_delays]
        return torch.cat(taps, -1), line[len(line) - depth :].flip(0)


def as_bim(net: nn.Module, what: str) -> BimNet:
    """Return the network, for what exists for BIM alone.

    Raises:
        InputError: a network of another family.
    """
    if not isinstance(net, BimNet):
        family = family_of(net.config).name if isinstance(net, Net) else type(net).__name__
        raise InputError(what, f"is for BIM networks, and this one is of the family {family!r}", "Leave it out")
    return net


def _run_layer(layer: BimLayer, drive: Drive, state: LayerState) -> tuple[LayerState, Tensor, Tensor]:
    if layer.config.kind == "complex":
        return complex_state.run(layer, drive, state)
    if layer.fused:
        state, stacked, f = layer.sequence(drive, state)
        return state, f, stacked.s
    features, spikes = [], []
    b = drive.b if drive.b is not None else [None] * len(drive.z)
    for parts in zip(drive.z, drive.d, b, drive.c, strict=True):
        state, record = layer.step(Drive(*parts), state)
        features.append(state.f)
        spikes.append(record.s)
    return state, torch.stack(features), torch.stack(spikes)
