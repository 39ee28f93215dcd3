"""`OwnRelus`: a module in which every call of a ReLU is a layer of its own, by the order of its calls.

nn.ReLU, F.relu, torch.relu, x.relu_(), clamp(min=0) and clamp_min(0) are seen as they are called, so a ReLU that stands in
several places, as in torchvision's residual blocks, and one that is no module are read alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bimhw.frontends.frameworks.expression import Args, Kwargs, Nest


class Relu(nn.Module):
    """One call of a ReLU."""

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """Return max(x, 0), in x itself where the call was in place."""
        return x.clamp_(min=0) if inplace else x.clamp(min=0)


class OwnRelus(nn.Module):
    """A module whose k-th call of a ReLU is `layers[k]`.

    Attributes:
        names: module -> dotted name; a second call of a ReLU has ``.2`` behind its name.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.layers = inner, nn.ModuleList()
        self.names: dict[nn.Module, str] = {
            m: n or "module" for n, m in inner.named_modules() if not isinstance(m, nn.ReLU)
        }
        self._modules_of: dict[nn.Module, str] = {m: n for n, m in inner.named_modules() if isinstance(m, nn.ReLU)}
        self.running = ""  # the nn.ReLU that runs
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

    def layer(self, k: int) -> Relu:
        """Return the layer of the k-th call, made at the first run."""
        if k == len(self.layers):
            base, taken = self.running or "relu", set(self.names.values())
            name, n = base, 2
            while name in taken:
                name, n = f"{base}.{n}", n + 1
            self.layers.append(made := Relu())
            self.names[made] = name
        found = self.layers[k]
        assert isinstance(found, Relu)
        return found

    def _enter(self, module: nn.Module, given: Args) -> None:
        self.running = self._modules_of[module] or "module"

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
        if not _is_relu(name, args, named):
            return func(*args, **named)
        x = args[0] if args else named["input"]
        inplace = name.endswith("_") or bool(named.get("inplace", len(args) > 1 and name == "relu" and args[1]))
        self.count += 1
        return self.owner.layer(self.count - 1)(x, inplace)


def _is_relu(name: str, args: Args, kwargs: Kwargs) -> bool:
    plain = name.rstrip("_")
    if plain == "relu":
        return True
    if plain not in ("clamp", "clamp_min", "clip"):
        return False
    bounds = dict(zip(("min", "max"), args[1:], strict=False)) | {
        k: v for k, v in kwargs.items() if k in ("min", "max")
    }
    least, most = bounds.get("min"), bounds.get("max")
    return most is None and not isinstance(least, torch.Tensor) and least == 0
