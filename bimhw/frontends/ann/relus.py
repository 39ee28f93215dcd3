"""`OwnRelus`: a module in which every call of a ReLU is a layer of its own, by the order of its calls.

nn.ReLU, F.relu, torch.relu, x.relu_(), clamp(min=0) and clamp_min(0) are seen as they are called, so a ReLU that stands in
several places, as in torchvision's residual blocks, and one that is no module are read alike. Other activations of straight
pieces become several ReLUs (`bimhw.frontends.ann.pieces`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bimhw.frontends.ann.pieces import ACTIVATIONS, Pieces, pieces
from bimhw.frontends.frameworks.expression import Args, Kwargs, Nest

_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
_POOL_NAMES = ("max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d")
ANY_POOL = ""  # name of pools that are functions


class Relu(nn.Module):
    """One call of a ReLU; `most` is the bound of one that holds its value below it."""

    most: float | None = None

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """Return max(x, 0), in x itself where the call was in place."""
        return x.clamp_(0, self.most) if inplace else x.clamp(0, self.most)


class OwnRelus(nn.Module):
    """A module whose k-th call of a ReLU is `layers[k]`.

    Attributes:
        names: module -> dotted name; a second call of a ReLU has ``.2`` behind its name.
        clips: a clip from 0 on is one layer, whose neurons hold it.
        percentile: of what `spans` keeps; None while nothing is measured.
        spans: maximum pool -> percentile of the differences between the values of a window.
    """

    def __init__(self, inner: nn.Module, clips: bool = False) -> None:
        super().__init__()
        self.inner, self.layers, self.clips = inner, nn.ModuleList(), clips
        self.percentile: float | None = None
        self.spans: dict[str, float] = {}
        kinds = ACTIVATIONS
        self.names: dict[nn.Module, str] = {
            m: n or "module" for n, m in inner.named_modules() if not isinstance(m, kinds)
        }
        self._modules_of: dict[nn.Module, str] = {
            m: n or "module" for n, m in inner.named_modules() if isinstance(m, (*kinds, *_POOLS))
        }
        self.running = ""  # the activation or pool that runs
        for module in self._modules_of:
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave)

    def forward(self, x: Tensor, given: Callable[[Tensor], None] | None = None) -> Nest:
        """Return what the module returns; it gets a copy of x, of which `given` is told."""
        own = x.clone()
        if given is not None:
            given(own)
        with _Calls(self):
            out: Nest = self.inner(own)
        return out

    def measure(self, x: Tensor, least: Tensor) -> None:
        """Keep the span of a pool's windows: x [...] their maxima, `least` their minima."""
        found = (x - least).detach().numpy()
        span = float(np.percentile(found[found > 0], self.percentile or 100)) if (found > 0).any() else 1.0
        self.spans[self.running or ANY_POOL] = max(span, self.spans.get(self.running or ANY_POOL, 0.0))

    def layer(self, k: int, most: float | None = None) -> Relu:
        """Return the layer of the k-th call, made at the first run."""
        if k == len(self.layers):
            base, taken = self.running or "relu", set(self.names.values())
            name, n = base, 2
            while name in taken:
                name, n = f"{base}.{n}", n + 1
            self.layers.append(made := Relu())
            self.names[made], made.most = name, most
        found = self.layers[k]
        assert isinstance(found, Relu)
        return found

    def _enter(self, module: nn.Module, given: Args) -> None:
        self.running = self._modules_of[module]

    def _leave(self, module: nn.Module, given: Args, out: Tensor) -> None:
        self.running = ""


class _Calls(TorchFunctionMode):
    """Hands each call of a ReLU to the next layer."""

    def __init__(self, owner: OwnRelus) -> None:
        super().__init__()
        self.owner, self.count = owner, 0

    def __torch_function__(
        self, func: Callable[..., Nest], types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> Nest:
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        found = pieces(name, args, named)
        if found is None:
            out = func(*args, **named)
            if self.owner.percentile is not None and name in _POOL_NAMES and isinstance(out, Tensor):
                x, *rest = args if args else (named.pop("input"),)
                self.owner.measure(out, -func(-x, *rest, **named))
            return out
        return self._activated(args[0] if args else named["input"], found)

    def _activated(self, x: Tensor, how: Pieces) -> Tensor:
        """Return an activation by its ReLUs."""
        knees = how.knees
        if how.most is not None and self.owner.clips:
            return self._relu(x, how.inplace, how.most)
        if len(knees) == 1 and how.start == 0 and knees[0].shift == 0:
            return self._relu(x, how.inplace)
        total: Tensor | None = None
        for knee in knees:
            given = x if knee.sign == 1 else x * knee.sign
            one = self._relu(given if knee.shift == 0 else given + knee.shift) * knee.factor
            total = one if total is None else total + one
        assert total is not None
        out = total if how.start == 0 else total + how.start
        return x.copy_(out) if how.inplace else out

    def _relu(self, x: Tensor, inplace: bool = False, most: float | None = None) -> Tensor:
        self.count += 1
        out: Tensor = self.owner.layer(self.count - 1, most)(x, inplace)
        return out
