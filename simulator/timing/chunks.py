"""Chunks of steps that are expanded and timed at once."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.base.arrays import I64

CHUNK_MESSAGES = 1 << 18  # expanded at a time: 3 MB; fewer, and the plan's tables are fetched anew too often
CHUNK_ENDPOINTS = 1 << 20  # steps x endpoints expanded at a time: 28 MB


def chunks_of(messages: I64, endpoints: int, threads: int) -> list[tuple[int, int]]:
    """Cut a run into chunks of steps.

    Args:
        messages: int64 [T], of each step.
        endpoints: of the mesh.
        threads: that share the chunks.

    Returns:
        first and last step (exclusive) of each.
    """
    share = CHUNK_MESSAGES if threads == 1 else _share(messages, threads)
    return list(_chunks(messages, share, max(1, CHUNK_ENDPOINTS // endpoints)))


def _share(messages: I64, threads: int) -> int:
    """Return the messages of a chunk with several threads: some chunks a thread, so that none waits long for the last."""
    return min(CHUNK_MESSAGES, max(1 << 14, int(messages.sum()) // (8 * threads)))


def _chunks(messages: I64, most: int, steps: int) -> Iterator[tuple[int, int]]:
    """Yield the steps [first, last) of each chunk of at most `most` messages and `steps` steps (a step of more is a chunk)."""
    first = 0
    total = 0
    for t, n in enumerate(messages.tolist()):
        if t > first and (total + n > most or t - first == steps):
            yield first, t
            first, total = t, 0
        total += n
    if messages.size > first:
        yield first, int(messages.size)
