"""A team of threads for many short rounds of work: a round costs some microseconds, a pool's tens."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Team(Generic[A, R]):
    """Threads that share the calls of a round; the caller is one of them. With one thread all calls are made here.

    What a thread raises is raised by `each`.
    """

    def __init__(self, threads: int) -> None:
        # Two locks a thread, released by the other side: the plain lock wakes a thread faster than a semaphore does.
        self._starts, self._ends = ([threading.Lock() for _ in range(threads - 1)] for _ in range(2))
        for lock in (*self._starts, *self._ends):
            lock.acquire()
        self._round: Callable[[], None] | None = None
        self._threads = [
            threading.Thread(target=self._work, args=ends, daemon=True)
            for ends in zip(self._starts, self._ends, strict=True)
        ]

    def __enter__(self) -> Team[A, R]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._round = None
        for start in self._starts:
            start.release()
        for thread in self._threads:
            thread.join()

    def each(self, calls: Sequence[Callable[[A], R]], argument: A) -> list[R]:
        """Make every call with the argument; returns the results in order."""
        if not self._threads:
            return [call(argument) for call in calls]
        results: dict[int, R] = {}
        errors: list[BaseException] = []
        numbers = itertools.count()

        def share() -> None:
            try:
                while (k := next(numbers)) < len(calls):
                    results[k] = calls[k](argument)
            except BaseException as error:  # raised again by the caller
                errors.append(error)

        self._round = share
        for start in self._starts:
            start.release()
        share()
        for end in self._ends:
            end.acquire()
        if errors:
            raise errors[0]
        return [results[k] for k in range(len(calls))]

    def _work(self, start: threading.Lock, end: threading.Lock) -> None:
        while True:
            start.acquire()
            if self._round is None:
                return
            self._round()
            end.release()
