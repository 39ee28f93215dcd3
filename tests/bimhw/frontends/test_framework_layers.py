"""Layers of torch beyond the plain ones, and neurons whose threshold adapts, in the small framework of the tracer's tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bimhw
from bimhw.evidence.crosscheck.inputs import prepare
from bimhw.frontends.frameworks.module import read_module
from simulator.base.errors import FitError, InputError
from tests.bimhw.frontends.test_frameworks import LIFNode, _spikes


@pytest.mark.parametrize(
    "between",
    [
        nn.AvgPool2d(2, padding=1, count_include_pad=False),
        nn.AvgPool2d(3, ceil_mode=True),
        nn.AvgPool2d(2, divisor_override=3),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"),
        nn.MaxPool2d(2, 1, dilation=2),
        nn.MaxPool2d(3, ceil_mode=True),
        nn.AdaptiveMaxPool2d((2, 1)),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Sequential(nn.Flatten(2), nn.MaxPool1d(3, 2, padding=1)),
    ],
)
def test_layers_that_are_linear_or_maxima_of_spikes_are_probed(between: nn.Module) -> None:
    torch.manual_seed(1)
    first, last = nn.Conv2d(1, 3, 2), nn.LazyLinear(4)
    module = nn.Sequential(first, LIFNode(1.5), between, nn.Flatten(), last, LIFNode(1.5))
    x = _spikes(8, 2, 1, 6, 6)
    last(torch.nn.Sequential(*list(module)[:-2])(x[0]))  # tells the lazy layer its width
    nn.init.uniform_(first.weight, 0, 2)
    for weight in between.parameters():  # the layers above were made before the seed
        nn.init.uniform_(weight, -0.3, 0.5)
    nn.init.normal_(last.weight, 0.1, 1.0)
    read = read_module(module, x)
    assert read.differ == 0 and read.wanted.std() > 0


def test_a_layer_that_is_called_twice_in_a_step_is_named() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.n = nn.Linear(6, 6), nn.Linear(6, 6), LIFNode(1.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.n(self.b(self.n(self.a(x))))
            return out

    with pytest.raises(InputError, match=r"first of their 2 calls only.*one state for both"):
        read_module(Twice(), _spikes(5, 2, 6))


def test_every_function_that_takes_a_module_takes_its_sample() -> None:
    torch.manual_seed(0)
    module, x = nn.Sequential(nn.Linear(6, 4), LIFNode(1.5)), _spikes(5, 2, 6)
    assert bimhw.fit(module, "loihi2", sample=x)["fits"]
    jobs = prepare(module, None, (0,), 5, 0.1, 0, None, {"sample": x})
    assert [j.network.stage for j in jobs if j.network] == ["float"]


class SingleSpike:
    """What sinabs calls its rule for one spike a step."""


class MembraneSubtract:
    """What sinabs calls a reset by the threshold."""

    subtract_value = None


class StatefulLayer(nn.Module):
    """The root of sinabs' neurons."""


class ALIF(StatefulLayer):
    """sinabs' adaptive neuron by its equations, with a synaptic current or without; [B, T, n]."""

    spike_fn, reset_fn, min_v_mem, b0, norm_input = SingleSpike, MembraneSubtract(), None, torch.tensor(0.4), True
    alpha_mem_calculated, alpha_adapt_calculated, adapt_scale = torch.tensor(0.7), torch.tensor(0.8), 1.3

    def __init__(self, syn: float | None) -> None:
        super().__init__()
        self.alpha_syn_calculated = None if syn is None else torch.tensor(syn)

    def reset_states(self) -> None:
        """Keep nothing: the states live in forward."""

    def back(self, z: torch.Tensor) -> torch.Tensor:
        """Feed nothing back."""
        return torch.zeros_like(z)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = i = b = z = torch.zeros_like(x[:, 0])
        keep, out = self.alpha_mem_calculated.double(), []
        for t in range(x.shape[1]):
            now = x[:, t] + self.back(z) if t else x[:, t]
            i = now if self.alpha_syn_calculated is None else self.alpha_syn_calculated.double() * (i + now)
            i = (1 - keep) * i
            v = keep * v + i
            theta = self.b0.double() + self.adapt_scale * b
            z = (v >= theta).double()
            v = v - z * theta
            b = self.alpha_adapt_calculated.double() * b + (1 - self.alpha_adapt_calculated.double()) * z
            out.append(z)
        return torch.stack(out, dim=1)


class ALIFRecurrent(ALIF):
    """The same with weights from its own spikes of the step before."""

    def __init__(self, syn: float | None, size: int = 8, bias: bool = False) -> None:
        super().__init__(syn)
        self.rec_connect = nn.Linear(size, size, bias=bias)

    def back(self, z: torch.Tensor) -> torch.Tensor:
        """Weigh the spikes of the step before."""
        out: torch.Tensor = self.rec_connect(z)
        return out


for _cls in (SingleSpike, MembraneSubtract, StatefulLayer, ALIF, ALIFRecurrent):
    _cls.__module__ = "sinabs.small"


@pytest.mark.parametrize("kind", [ALIF, ALIFRecurrent])
@pytest.mark.parametrize("syn", [None, 0.6])
def test_an_adaptive_threshold_is_read_and_runs_on_a_chip(syn: float | None, kind: type[ALIF]) -> None:
    torch.manual_seed(2)
    module: Any = nn.Sequential(nn.Linear(6, 8), kind(syn), nn.Linear(8, 4), ALIF(syn))
    for layer in (module[0], module[2]):
        nn.init.uniform_(layer.weight, -1, 2)
    x = _spikes(2, 20, 6)
    _reads_and_runs(module, x, "adaptive_lif" if syn is None else "adaptive_cuba")


@pytest.mark.parametrize("syn", [None, 0.6])
def test_a_recurrent_bias_comes_from_the_second_step_on(syn: float | None) -> None:
    torch.manual_seed(2)
    module: Any = nn.Sequential(nn.Linear(6, 8), ALIFRecurrent(syn, bias=True), nn.Linear(8, 4), ALIF(syn))
    nn.init.uniform_(module[1].rec_connect.bias, 0.5, 1)
    nn.init.uniform_(module[2].weight, -1, 2)
    neuron = "adaptive_lif" if syn is None else "adaptive_cuba"
    _reads_and_runs(module, _spikes(2, 20, 6), neuron, more=("leaky",))


def _reads_and_runs(
    module: nn.Module, x: torch.Tensor, neuron: str, steps_first: bool = False, more: tuple[str, ...] = ()
) -> None:
    """Assert that the float engine gives the module's spikes, and a chip all but 5 % of them."""
    read = read_module(module, x)
    assert read.differ == 0 and 0.1 < read.wanted.mean() < 0.9
    models = sorted(p.model for p in read.network.populations if p.role != "input")
    assert models == sorted([neuron, neuron, *more])
    program = bimhw.compile(module, "loihi2", sample=x).program
    samples = x.transpose(0, 1) if steps_first else x
    data = bimhw.Dataset(samples.numpy(), out=read.wanted, layout="bt")
    run = bimhw.simulate(program, data=data, engine="none").result
    assert run["recorded_differ"] <= 0.05 * np.size(read.wanted)  # of 8-bit weights


class SpikingNeuron(nn.Module):
    """The root of snnTorch's neurons."""


class Alpha(SpikingNeuron):
    """snnTorch's Alpha by its equations, one step a call."""

    state_quant, inhibition, graded_spikes_factor = False, False, 1.0

    def __init__(self, reset: int, beta: float = 0.5) -> None:
        super().__init__()
        self.reset_mechanism_val, self.threshold = reset, torch.tensor(0.5)
        self.alpha, self.beta = torch.tensor(0.8).double(), torch.tensor(beta).double()
        self.reset_mem()

    def reset_mem(self) -> None:
        """Zero the states."""
        self.exc = self.inh = self.mem = torch.zeros(())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        reset = (self.mem > self.threshold).double()
        exc, inh = self.alpha * self.exc + x, self.beta * self.inh - x
        gain = torch.log(self.alpha) / (torch.log(self.beta) - torch.log(self.alpha)) + 1
        mem = gain * (exc + inh)
        if self.reset_mechanism_val == 0:
            exc, inh, mem = exc - reset * self.threshold, inh * (1 - reset), mem + reset * self.inh
        elif self.reset_mechanism_val == 1:
            exc, inh, mem = exc * (1 - reset), inh * (1 - reset), mem * (1 - reset)
        self.exc, self.inh, self.mem = exc, inh, mem
        return (mem > self.threshold).double()


for _cls in (SpikingNeuron, Alpha):
    _cls.__module__ = "snntorch.small"


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("reset", [0, 1, 2])
def test_an_alpha_neuron_is_read_and_runs_on_a_chip(reset: int, beta: float) -> None:
    torch.manual_seed(3)
    module: Any = nn.Sequential(nn.Linear(6, 8), Alpha(reset, beta), nn.Linear(8, 4), Alpha(reset, beta))
    for layer in (module[0], module[2]):
        nn.init.uniform_(layer.weight, -1, 1.5)
    _reads_and_runs(module, _spikes(20, 2, 6), "double_exponential", steps_first=True)


class BaseNode(nn.Module):
    """The root of SpikingJelly's neurons."""


class KLIFNode(BaseNode):
    """SpikingJelly's KLIF by its equations, one step a call."""

    tau, v_threshold, step_mode = 2.0, 1.0, "s"

    def __init__(self, k: float, scale_reset: bool, v_reset: float | None, decay_input: bool = False) -> None:
        super().__init__()
        self.k, self.scale_reset, self.v_reset = nn.Parameter(torch.tensor(k)), scale_reset, v_reset
        self.decay_input = decay_input
        self.reset()

    def reset(self) -> None:
        """Zero the membrane."""
        self.v: Any = 0.0 if self.v_reset is None else self.v_reset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest = 0.0 if self.v_reset is None else self.v_reset
        f = torch.relu(self.k * (self.v - (self.v - rest) / self.tau + (x / self.tau if self.decay_input else x)))
        z = (f >= self.v_threshold).to(x.dtype)
        kept = self.k if self.scale_reset else 1.0
        after = (f - self.v_threshold) / kept if self.v_reset is None else self.v_reset
        self.v = (1 - z) * f / kept + z * after
        return z


class LIFBaseTorch(nn.Module):
    """Rockpool's neuron with S synapses, inputs [B, T, N S]: i = beta (i + x); v = alpha v + sum of i + bias."""

    def __init__(self, n: int, synapses: int) -> None:
        super().__init__()
        self.size_out, self.n_synapses, self._has_rec = n, synapses, False
        self.noise_std, self.max_spikes_per_dt, self.bias = 0.0, 1.0, torch.full((n,), 0.01)
        self.alpha, self.threshold = torch.rand(n).double() * 0.5 + 0.4, torch.rand(n).double() + 0.5
        self.beta = torch.rand(n, synapses).double() * 0.8

    def reset_state(self) -> None:
        """Keep nothing: every call begins anew."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, i, out = torch.zeros(()), torch.zeros(()), []
        for t in range(x.shape[1]):
            i = (i + x[:, t].reshape(-1, self.size_out, self.n_synapses)) * self.beta
            v = self.alpha * v + i.sum(2) + self.bias
            z = (v >= self.threshold).to(x.dtype)
            v = v - z * self.threshold
            out.append(z)
        return torch.stack(out, dim=1)


class LIFTorch(LIFBaseTorch):
    """Its class in Rockpool."""


class PSN(nn.Module):
    """A neuron of SpikingJelly's that has no form here, and no base class in common with the others."""


for _cls in (BaseNode, KLIFNode, PSN):
    _cls.__module__ = "spikingjelly.activation_based.neuron.small"
for _cls in (LIFBaseTorch, LIFTorch):
    _cls.__module__ = "rockpool.nn.modules.torch.small"


@pytest.mark.parametrize("synapses", [1, 2, 3])
def test_a_neuron_of_several_synapses_is_read(synapses: int) -> None:
    torch.manual_seed(synapses)
    module = nn.Sequential(nn.Linear(6, 5 * synapses), LIFTorch(5, synapses), nn.Linear(5, 4), LIFTorch(4, 1)).double()
    for layer in (module[0], module[2]):
        nn.init.uniform_(layer.weight, -0.4, 1.0)
    read = read_module(module, _spikes(3, 25, 6))
    assert read.differ == 0 and 0.02 < read.wanted.mean() < 0.98


def test_feedback_onto_several_synapses_is_named() -> None:
    neuron = LIFTorch(5, 2)
    neuron._has_rec, neuron.w_rec = True, torch.rand(5, 10)  # type: ignore[assignment]
    with pytest.raises(FitError, match=r"layer '1' \(LIFTorch\): feeds back onto 2 synapses a neuron"):
        read_module(nn.Sequential(nn.Linear(6, 10), neuron), _spikes(3, 5, 6))


@pytest.mark.parametrize(("k", "most"), [(0.6, 2.0), (1.3, 0.8)])
@pytest.mark.parametrize("scale_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.125])
def test_a_klif_is_read(k: float, most: float, scale_reset: bool, v_reset: float | None) -> None:
    torch.manual_seed(4)
    node = KLIFNode(k, scale_reset, v_reset, k < 1)
    module: Any = nn.Sequential(nn.Linear(6, 8), node, nn.Linear(8, 4), KLIFNode(k, scale_reset, v_reset))
    for layer in (module[0], module[2]):
        nn.init.uniform_(layer.weight, -1, most)
    read = read_module(module, _spikes(20, 2, 6))
    assert read.differ == 0 and 0 < read.wanted.mean() < 1


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (KLIFNode(-1.0, False, None), "k <= 0"),
        (KLIFNode(3.0, False, None), "grows by itself"),
        (KLIFNode(1.0, False, -0.5), "resets below 0"),
        (
            PSN(),
            "layer '1' .PSN.: is a neuron that has no form here: it weighs the steps of a whole sequence.* Use LIFNode",
        ),
    ],
)
def test_what_no_neuron_here_does_is_named(node: nn.Module, problem: str) -> None:
    with pytest.raises(FitError, match=problem):
        read_module(nn.Sequential(nn.Linear(6, 8), node), _spikes(5, 2, 6))
