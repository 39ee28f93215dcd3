"""Random plain networks (the format of `bimhw.frontends.npz`) of any size, with a chosen firing rate and fan-out."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np

PERIOD = 20  # steps between the spikes of a driven neuron, about


def write_net(
    path: Path, n: int, fan_out: tuple[int, int], rate: float, *, n_in: int = 256, steps: int = 200, cores: int = 128,
    seed: int = 0,
) -> Path:  # fmt: skip
    """Write a network of n neurons, each with lo..hi synapses onto random targets, of which a share `rate` fires a step.

    A share of 20 * rate of the neurons is driven by its bias to fire every 20 steps or so; weights are small and balanced.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(fan_out[0], fan_out[1] + 1, n)
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(lengths, out=indptr[1:])
    indices = np.empty(indptr[-1], np.uint16 if n <= 1 << 16 else np.uint32)
    weights = np.empty(indptr[-1], np.int8)
    _fill(indptr, n_in, n, seed, indices, weights)
    driven = rng.random(n) < PERIOD * rate
    external = [np.flatnonzero(rng.random(n_in) < rate).astype(np.int32) for _ in range(steps)]
    np.savez(
        path,
        indptr=indptr,
        indices=indices,
        weights=weights,
        bias=np.where(driven, rng.integers(120, 160, n), 0).astype(np.int32),
        v0=np.where(driven, rng.integers(0, 1000, n), 0).astype(np.int32),
        thr=np.array(1000),
        T=np.array(steps),
        n_in=np.array(n_in),
        in_ptr=np.cumsum([0] + [e.size for e in external]).astype(np.int64),
        in_idx=np.concatenate(external),
        core=(np.arange(n) * cores // n).astype(np.int32),
    )
    return path


@numba.njit
def _fill(indptr, n_in, n, seed, indices, weights):  # type: ignore[no-untyped-def]
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator inside a kernel
    for row in range(indptr.size - 1):
        start, length = indptr[row], indptr[row + 1] - indptr[row]
        for k in range(length):  # one target from each of `length` slices: ascending and unique
            low = n_in + (n - n_in) * k // length
            high = n_in + (n - n_in) * (k + 1) // length
            indices[start + k] = np.random.randint(low, high)  # noqa: NPY002
            weights[start + k] = np.random.randint(-20, 21)  # noqa: NPY002
