"""The words that autograd keeps between the forward and the backward pass."""

from __future__ import annotations

import torch
from torch import Tensor


class saved_words:
    """Count of the words that autograd keeps for the backward pass, each stored tensor once; does nothing where not active."""

    def __init__(self, active: bool = True) -> None:
        self._seen: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda t: t) if active else None

    def __enter__(self) -> saved_words:
        if self._hooks is not None:
            self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._hooks is not None:
            self._hooks.__exit__(*error)

    @property
    def words(self) -> int:
        """Elements of all tensors kept."""
        return sum(self._seen.values())

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._seen[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        return tensor
