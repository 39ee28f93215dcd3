"""Memory and operations of learning as functions of the sequence length T (section 4.5 of the BIM paper), measured.

BPTT: bytes of the tensors that autograd keeps for the backward pass; operations of forward and backward pass as torch runs them
(a matrix product counts its multiply-accumulates, any other operation one per element it writes). RTRL: trace words held;
operations by the counts of `bimhw.learning.forms.counts`. SEQ: history words; operations counted as it runs. All for
one sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from bimhw.learning.forms.counts import dense_counts
from bimhw.learning.forms.rtrl import RtrlLearner
from bimhw.learning.forms.seq import SweepLearner
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError
from simulator.base.shown import Shown

_WORD = 4  # bytes of float32
# Where each figure of a row comes from; all are exact numbers of one sequence, so none has a range.
WORDS = {
    "bptt_bytes": "measured", "rtrl_bytes": "counted", "seq_bytes": "measured", "bptt_ops": "measured",
    "rtrl_ops": "counted", "seq_ops": "measured",
}  # fmt: skip


@dataclass(frozen=True)
class CostRow:
    """At one T: learning memory in bytes and operations per time step (diag; None where nothing counts them)."""

    steps: int
    bptt_bytes: int
    rtrl_bytes: int
    seq_bytes: int
    bptt_ops: float
    rtrl_ops: float | None
    seq_ops: float | None


@dataclass(frozen=True, repr=False)
class LearningCost(Shown):
    """The rows, and from which T on RTRL's traces take less memory than BPTT's or SEQ's words (None: not below the limit)."""

    rows: tuple[CostRow, ...]
    parameters: int
    trace_words_per_parameter: float
    break_even_bptt: int | None
    break_even_seq: int | None

    def facts(self) -> dict[str, Any]:
        """Return JSON-able facts."""
        from dataclasses import asdict

        return asdict(self) | {"trust": dict(WORDS)}


def learning_cost(
    config: BimConfig, steps: tuple[int, ...] = (16, 64, 256, 1024), input_rate: float = 0.1, seed: int = 0
) -> LearningCost:
    """Measure a network with one random sequence.

    Args:
        config: the network.
        steps: the lengths T.
        input_rate: share of inputs that are 1.
        seed: of weights and inputs.

    Raises:
        InputError: a length or the rate out of its range.
    """
    if not steps or min(steps) < 1:
        raise InputError("steps", f"is {steps}, needs lengths of at least 1", "e.g. 16,64,256,1024")
    if not 0 <= input_rate <= 1:
        raise InputError("input rate", f"is {input_rate}, must be in [0, 1]")
    net = BimNet(config, seed)
    traces = RtrlLearner(net, 1).memory_words * _WORD
    rows = tuple(_row(net, t, traces, input_rate, seed) for t in steps)
    hidden = sum(p.numel() for n, p in net.named_parameters() if n.startswith("layers."))
    by_bptt = break_even(lambda t: bptt_bytes(net, _inputs(net, t, input_rate, seed)), traces)
    per_step = rows[-1].seq_bytes // rows[-1].steps
    return LearningCost(rows, hidden, traces / _WORD / hidden, by_bptt, traces // per_step + 1)


def _row(net: BimNet, steps: int, traces: int, rate: float, seed: int) -> CostRow:
    x = _inputs(net, steps, rate, seed)
    seq_bytes, seq_ops = _seq(net, x)
    return CostRow(
        steps,
        bptt_bytes(net, x),
        traces,
        seq_bytes,
        bptt_operations(net, x) / steps,
        rtrl_operations(net.config),
        seq_ops,
    )


def _inputs(net: BimNet, steps: int, rate: float, seed: int) -> torch.Tensor:
    spikes = np.random.default_rng(seed).random((steps, 1, net.config.n_in)) < rate
    return torch.from_numpy(spikes.astype(np.float32))


def _loss(net: BimNet, x: torch.Tensor) -> torch.Tensor:
    logits = net.run(x).logits
    return functional.cross_entropy(logits.flatten(0, 1), torch.zeros(len(x), dtype=torch.int64))


def bptt_bytes(net: BimNet, x: torch.Tensor) -> int:
    """Count bytes that autograd keeps for the backward pass, without parameters and inputs, shared storage counted once."""
    owned = {p.untyped_storage().data_ptr() for p in net.parameters()} | {x.untyped_storage().data_ptr()}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # no storage may be freed and its address reused while we count
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _loss(net, x)
    return sum(kept.values())


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts what torch executes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm"):
            left = args[-2]
            self.operations += result.numel() * left.shape[-1]
        elif not func.is_view and isinstance(result, torch.Tensor) and name not in _FREE:
            self.operations += result.numel()
        return result


# allocations and copies
_FREE = {"empty", "empty_like", "zeros", "zeros_like", "ones_like", "new_zeros", "fill_"}
_FREE |= {"detach", "clone", "stack", "cat", "_to_copy"}


def bptt_operations(net: BimNet, x: torch.Tensor) -> int:
    """Count operations of one forward and backward pass."""
    with _Counter() as counter:
        loss = _loss(net, x)
        torch.autograd.grad(loss, [p for p in net.parameters() if p.requires_grad])
    return int(counter.operations)


def rtrl_operations(config: BimConfig) -> float | None:
    """Count operations of one labelled step, learning alone (diag)."""
    if config.kind != "diag":
        return None
    return float(sum(dense_counts(config, config.fan_in(i), h, True).total for i, h in enumerate(config.hidden)))


def _seq(net: BimNet, x: torch.Tensor) -> tuple[int, float]:
    learner = SweepLearner(net, 1)
    label = torch.zeros(1, dtype=torch.int64)
    for u in x:
        learner.observe(u, label)
    words = learner.memory_words
    learner.finish()
    return words * _WORD, learner.counts.total / len(x)


def break_even(memory: Callable[[int], int], traces: int, limit: int = 4096) -> int | None:
    """Find the smallest T at which ``memory(T)`` bytes exceed the traces, by bisection; None: not up to the limit."""
    if memory(limit) <= traces:
        return None
    low, high = 0, limit  # memory(low) <= traces < memory(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if memory(middle) > traces else (middle, high)
    return high


def stream_memory(net: BimNet, steps: int, seed: int = 0) -> list[tuple[int, int, int]]:
    """Return (step, trace bytes, resident bytes of the process) while RTRL runs on a stream labelled at every step."""
    learner = RtrlLearner(net, 1)
    rng, out = np.random.default_rng(seed), []
    label = torch.zeros(1, dtype=torch.int64)
    for t in range(1, steps + 1):
        u = torch.from_numpy((rng.random((1, net.config.n_in)) < 0.1).astype(np.float32))
        learner.observe(u, label)
        if t % max(steps // 10, 1) == 0:
            out.append((t, learner.memory_words * _WORD, resident_bytes()))
    return out


def resident_bytes() -> int:
    """Return the resident memory of this process (Linux; elsewhere the largest so far)."""
    import resource
    from pathlib import Path

    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * int(resource.getpagesize())
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
