"""Forwards as users write them: functions with weights made anew, layers of their own, wrappers over time, mixed step modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bimhw
from bimhw.compiler.decode import program_samples
from bimhw.frontends.frameworks.module import module_outline, read_module
from simulator.base.errors import FitError
from tests.bimhw.frontends.test_frameworks import LIFNode, NonSpikingLIFNode, _spikes


class FloatNode(LIFNode):
    """Its spikes are float32 whatever it is given, as snnTorch's are."""

    def _one(self, x: torch.Tensor) -> torch.Tensor:
        return super()._one(x).float()


class SynapseFilter(nn.Module):
    """A state of its own without being a neuron layer, told as SpikingJelly tells it."""

    def __init__(self) -> None:
        super().__init__()
        self._memories = {"out": 0.0}

    def reset(self) -> None:
        self._memories["out"] = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._memories["out"] = 0.5 * self._memories["out"] + x  # type: ignore[assignment]
        return self._memories["out"]  # type: ignore[return-value]


class Recurrent(nn.Module):
    """Walks through the steps itself, and keeps its last output from call to call until it is reset."""

    def __init__(self) -> None:
        super().__init__()
        self.back, self.node = nn.Linear(12, 6), LIFNode(1.5)
        self._memories: dict[str, Any] = {"y": None}

    def reset(self) -> None:
        self._memories["y"] = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = []
        for step in x:
            last = torch.zeros_like(step) if self._memories["y"] is None else self._memories["y"]
            self._memories["y"] = self.node(self.back(torch.cat([step, last], 1)))
            rows.append(self._memories["y"])
        return torch.stack(rows)


for _cls in (SynapseFilter, Recurrent):
    _cls.__module__ = "spikingjelly.small"


class Scaled(nn.Linear):
    """A layer whose forward is not its class's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, 3 * self.weight * (self.weight > 0), self.bias)


Step = Callable[["TwoLayers", torch.Tensor, int], torch.Tensor]
_FORMS: dict[str, Step] = {
    "linear": lambda m, x, k: F.linear(x, m.w[k]),
    "a weight made anew": lambda m, x, k: F.linear(x, m.w[k].t() * 1.0),
    "matmul": lambda m, x, k: x @ m.w[k].t(),
    "einsum": lambda m, x, k: torch.einsum("bi,oi->bo", x, m.w[k]),
    "mm": lambda m, x, k: torch.mm(x, m.w[k]),
    "a layer's own forward": lambda m, x, k: m.own[k](x),
}


class TwoLayers(nn.Module):
    """Two layers of one shape, each with weights of its own, walked through step by step."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.w = nn.ParameterList([torch.rand(6, 6) * 1.5 for _ in range(2)])
        self.own = nn.ModuleList([Scaled(6, 6) for _ in range(2)])
        self.n1, self.n2 = FloatNode(1.5), FloatNode(2.0, None)
        self.form = _FORMS[form]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.n2(self.form(self, self.n1(self.form(self, s, 0)), 1)) for s in x])


@pytest.mark.parametrize("form", _FORMS)
def test_functions_are_read_with_the_weights_that_they_are_given(form: str) -> None:
    torch.manual_seed(4)
    read = read_module(TwoLayers(form), _spikes(10, 2, 6))
    assert read.differ == 0 and 0.02 < read.wanted.mean() < 0.98


class Dropout(nn.Module):
    """As SpikingJelly's: its mask is a state, and it passes its input on in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self._memories: dict[str, Any] = {"mask": None}

    def reset(self) -> None:
        self._memories["mask"] = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, 0.5) if self.training else x


Dropout.__module__ = "spikingjelly.small"


class Joined(nn.Module):
    """Two layers whose spikes are joined by what users write between and after them."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.n1, self.n2, self.n3, self.drop = FloatNode(1.5), FloatNode(2.0), FloatNode(1.5), Dropout()
        self.form = form
        for layer in (self.a, self.b, self.c):
            nn.init.uniform_(layer.weight, -0.3, 1.2)

    def step(self, s: torch.Tensor) -> torch.Tensor:
        z = self.n1(self.a(s))
        if self.form == "relu":
            z = F.relu(z).clamp(0, 1)
        if self.form == "dropout":
            z = self.drop(z)
        y = self.n2(self.b(z) - 0.1 if self.form == "constants" else self.b(z))
        if self.form == "both":
            y = y * z
        if self.form == "one and not the other":
            y = (1.0 - z) * y
        return self.n3(0.3 - self.c(y) * -1 if self.form == "constants" else self.c(y))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.step(s) for s in x])


@pytest.mark.parametrize("form", ["constants", "relu", "dropout", "both", "one and not the other"])
def test_what_users_write_between_spiking_layers_is_read(form: str) -> None:
    """relu of spikes (Norse's tutorial), SEW blocks with AND and IAND, constants that are subtracted, dropout with a state."""
    torch.manual_seed(8)
    read = read_module(Joined(form), _spikes(14, 3, 6))
    assert read.differ == 0 and read.wanted.any() and not read.wanted.all()


class Listed(NonSpikingLIFNode):
    """As SpikingJelly 2 has it: the membranes as a list with a tensor a step, or reduced inside."""

    def __init__(self, tau: float, decode: str | None = None) -> None:
        super().__init__(tau)
        self.decode = decode

    def forward(self, x: torch.Tensor) -> Any:
        self.v = torch.zeros_like(x[0])
        rows = super().forward(x)
        return rows.mean(0) if self.decode == "mean-mem" else list(rows)


Listed.__name__ = Listed.__qualname__ = "NonSpikingLIFNode"
Listed.__module__ = "spikingjelly.small"


def test_membranes_in_a_list_are_a_sequence_and_those_reduced_inside_are_refused() -> None:
    """The list was taken for its first step (a ValueError of numpy's)."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 5), LIFNode(1.5, step_mode="m"), nn.Linear(5, 3), Listed(2.0))
    nn.init.uniform_(net[0].weight, 0, 1.5)  # type: ignore[arg-type]
    x = _spikes(10, 2, 6)
    read = read_module(net, x)
    assert read.differ == 0 and read.wanted.shape == (2, 10, 3) and read.wanted.std() > 0
    net[3] = Listed(2.0, "mean-mem")
    with pytest.raises(FitError, match=r"layer '3'.*one value of all steps.*decode=None"):
        read_module(net, x)


class Mean(nn.Module):
    """A layer without neurons at the end, reduced over the steps; or a factor for each step."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 5), LIFNode(1.5, step_mode="m"), nn.Linear(5, 3))
        self.how, self.factor = how, nn.Parameter(torch.rand(10, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.net(x * self.factor if self.how == "factor" else x)
        return y.mean(0) if self.how == "mean" else y.sum(0)


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_a_linear_layer_at_the_end_is_summed_or_averaged_as_the_module_does(how: str) -> None:
    """The mean was taken for a sum: every output differed."""
    torch.manual_seed(3)
    module = Mean(how)
    nn.init.uniform_(module.net[0].weight, 0, 1.5)  # type: ignore[arg-type]
    read = read_module(module, _spikes(10, 2, 6))
    assert read.differ == 0 and read.wanted.shape == (2, 3) and read.wanted.std() > 0


def test_a_factor_for_each_step_is_refused() -> None:
    """As SpikingJelly's TemporalEffectiveBatchNorm has it; it was a ValueError of numpy's."""
    with pytest.raises(FitError, match=r"a factor of shape \(10, 1, 1\): is not the same in every step"):
        read_module(Mean("factor"), _spikes(10, 2, 6))


class TimedPool(nn.MaxPool1d):
    """As SpikingJelly's in step mode m: it takes [T, B, C, L] alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4:
            raise ValueError("expected x with shape [T, N, C, L]")
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


TimedPool.__module__ = "spikingjelly.small"
TimedPool.forward.__module__ = "spikingjelly.small"


def test_a_pool_that_asks_for_an_axis_of_time_is_read_by_its_class() -> None:
    torch.manual_seed(3)
    net = nn.Sequential(TimedPool(2), nn.Flatten(2), nn.Linear(16, 3), LIFNode(1.5, step_mode="m"))
    nn.init.uniform_(net[2].weight, -0.2, 0.5)  # type: ignore[arg-type]
    read = read_module(net, _spikes(10, 2, 4, 8))
    assert read.differ == 0 and read.wanted.any() and not read.wanted.all()


def test_products_of_other_values_and_a_softmax_inside_stay_refused() -> None:
    class Inside(Joined):
        def step(self, s: torch.Tensor) -> torch.Tensor:
            z = self.n2(self.b(self.n1(self.a(s))))
            return self.n3(self.c(self.a(s) * z if self.form == "product" else torch.softmax(z, 1)))

    for form, function in (("product", "mul"), ("attention", "softmax")):
        with pytest.raises(FitError, match=f"function torch.{function}"):
            read_module(Inside(form), _spikes(6, 2, 6))


def test_a_softmax_of_the_answer_is_left_out() -> None:
    """Its scores are in the same order, so the class is the same."""

    class Scores(Joined):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.log_softmax(super().forward(x).sum(0), dim=-1)

    torch.manual_seed(8)
    module, x = Scores("relu"), _spikes(14, 3, 6)
    read = read_module(module, x)
    assert read.differ == 0 and any("softmax of the answer is left out" in note for note in read.network.meta["notes"])
    assert (read.wanted.argmax(1) == module(x).argmax(1).numpy()).all() and read.wanted.max() > 1


class OverTime(nn.Module):
    """A wrapper that joins batch and time for a convolution, before a loop over the steps."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.conv, self.fc, self.batch_first = nn.Conv2d(1, 3, 3), nn.Linear(48, 5), batch_first
        self.node = LIFNode(1.5)
        nn.init.uniform_(self.fc.weight, -0.2, 0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.fc(self.conv(x.flatten(0, 1)).flatten(1)).reshape(*x.shape[:2], 5)
        axis = 1 if self.batch_first else 0
        return torch.stack([self.node(z.select(axis, t)) for t in range(z.shape[axis])], axis)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_wrapper_that_joins_batch_and_time_is_read(batch_first: bool) -> None:
    torch.manual_seed(5)
    read = read_module(OverTime(batch_first), _spikes(*((2, 9) if batch_first else (9, 2)), 1, 6, 6))
    assert read.differ == 0 and read.wanted.any() and not read.wanted.all()
    assert read.x.shape == (2, 9, 36)


def test_layers_over_time_stand_beside_layers_called_step_by_step_and_containers_start_anew() -> None:
    torch.manual_seed(6)
    first, last = LIFNode(1.5, step_mode="m"), LIFNode(2.0, step_mode="m")
    module = nn.Sequential(nn.Linear(4, 6), first, Recurrent(), nn.Linear(6, 3), last)
    for k in (0, 3):
        nn.init.uniform_(module[k].weight, 0, 2)  # type: ignore[arg-type]
    nn.init.uniform_(module[2].back.weight, -0.5, 1.0)  # type: ignore[arg-type,union-attr]
    x = _spikes(12, 2, 4)
    module(x)  # leaves states behind
    read = read_module(module, x)
    assert read.differ == 0 and read.wanted.std() > 0


def test_a_flatten_of_batch_and_time_joins_them() -> None:
    torch.manual_seed(7)
    nodes = [LIFNode(1.5, step_mode="m"), LIFNode(2.0, step_mode="m")]
    joined, parted = nn.Sequential(nn.Flatten(0, 1), nn.Conv2d(1, 2, 3)), nn.Unflatten(0, (8, 2))
    module = nn.Sequential(*joined, parted, nodes[0], nn.Flatten(2), nn.Linear(32, 3), nodes[1])
    for k in (1, 5):
        nn.init.uniform_(module[k].weight, 0, 1)  # type: ignore[arg-type]
    read = read_module(module, _spikes(8, 2, 1, 6, 6))
    assert read.differ == 0 and read.wanted.any()


@pytest.mark.parametrize(
    "layer, message",
    [
        (nn.GRU(6, 6), r"function torch.gru in layer '1' \(GRU\)"),
        (nn.Softmax(-1), r"function torch.softmax in layer '1' \(Softmax\)"),
        (SynapseFilter(), r"layer '1' \(SynapseFilter\): keeps a state"),
    ],
)
def test_what_has_no_form_is_named_with_its_layer(layer: nn.Module, message: str) -> None:
    class First(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[0] if isinstance(x, tuple) else x

    module = nn.Sequential(nn.Linear(6, 6), layer, First(), nn.Linear(6, 3), LIFNode(step_mode="m"))
    with pytest.raises(FitError, match=message):
        read_module(module, _spikes(5, 2, 6))


def test_a_large_module_is_outlined_for_fit_and_a_small_one_is_not() -> None:
    """32 -> 64 channels of 3 x 3 on 14 x 14 are 3,276,800 synapses: counted, not unrolled."""
    torch.manual_seed(8)
    conv = nn.Conv2d(32, 64, 3, padding=1, bias=False)
    module = nn.Sequential(conv, LIFNode(step_mode="s"), nn.Flatten(), nn.Linear(64 * 196, 3), LIFNode(step_mode="s"))
    found = module_outline(module, _spikes(5, 1, 32, 14, 14))
    assert found is not None and [p.size for p in found.populations] == [6272, 12544, 3]
    pairs = (14 * 3 - 2) ** 2  # source and target positions, by rows and columns
    assert [q.n_synapses for q in found.projections] == [pairs * 32 * 64, 12544 * 3]
    assert bimhw.fit(module, "loihi2", sample=_spikes(5, 1, 32, 14, 14))["fits"] is not None
    assert module_outline(TwoLayers("linear"), _spikes(10, 2, 6)) is None


def test_whole_numbers_are_values_for_a_module_read_with_real_ones() -> None:
    """Pixels as integers were payloads of the sample's scale, 1/64 each here."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 5), LIFNode(1.5, step_mode="m"))
    program = bimhw.compile(net, "loihi2", sample=torch.randint(0, 100, (8, 2, 6)) / 64).program
    assert program.facts.entry.measured and program.facts.entry.scale == 2.0**-6
    spikes = _spikes(8, 2, 6).numpy()
    payloads = [
        program_samples(program, bimhw.Dataset(spikes.astype(kind), layout="tb"))[1] for kind in (np.float32, np.uint8)
    ]
    np.testing.assert_array_equal(payloads[0], 64 * spikes.swapaxes(0, 1))
    np.testing.assert_array_equal(*payloads)
    again = bimhw.compile(
        net, "loihi2", sample=torch.rand(8, 2, 6), data=bimhw.Dataset(spikes.astype(np.uint8), layout="tb")
    )
    entry = again.program.facts.entry
    assert (
        entry.payload_bits == 1 + round(1 / entry.scale).bit_length()
    )  # a spike of 1 in units of the scale, with a sign
