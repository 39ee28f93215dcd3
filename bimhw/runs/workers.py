"""Places of work: here, in local processes, or on a Dask cluster.

`workers` has one interface for all three: submit, finished. `spreading` sends the parts of one run to a cluster,
`side_by_side` shares tasks among processes of this machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from typing import Any, Protocol

from simulator.base.errors import InputError, MissingExtraError
from simulator.base.host_memory import reserve_blas
from simulator.function.parts import Spread

Arguments = tuple[Any, ...]
Call = Callable[..., Any]
Task = tuple[str, Arguments]  # a name, and arguments of the function
TRIES = 4


class Workers(Protocol):
    """Runs a function on arguments, somewhere."""

    def submit(self, name: str, arguments: Arguments) -> None:
        """Queue a call; `finished` gives its outcome under this name."""

    def finished(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield outcomes as they come, until nothing is queued; more may be submitted meanwhile."""


class Here:
    """One after another in this process."""

    def __init__(self, function: Callable[..., dict[str, Any]]) -> None:
        self._function, self._queue = function, list[Task]()

    def submit(self, name: str, arguments: Arguments) -> None:
        """Queue a call."""
        self._queue.append((name, arguments))

    def finished(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Run what is queued."""
        while self._queue:
            name, arguments = self._queue.pop(0)
            yield name, self._function(*arguments)


def _end_with_parent() -> None:
    """End this process when its parent is killed: it would wait for work for ever. Take its memory first, or end."""
    try:
        reserve_blas()
    except InputError:
        os._exit(1)  # the parent says that a process died; an error here would be a traceback besides
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Processes:
    """Local processes. A process that dies takes its points with it: they are tried again in a new pool."""

    def __init__(self, function: Callable[..., dict[str, Any]], workers: int) -> None:
        self._function, self._workers = function, workers
        self._pool = self._start()
        self._running: dict[Future[dict[str, Any]], Task] = {}
        self._tries: dict[str, int] = {}

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=_end_with_parent)

    def submit(self, name: str, arguments: Arguments) -> None:
        """Queue a call."""
        try:
            future = self._pool.submit(self._function, *arguments)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._start()
            future = self._pool.submit(self._function, *arguments)
        self._running[future] = (name, arguments)

    def finished(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield outcomes as they come."""
        while self._running:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                name, arguments = self._running.pop(future)
                try:
                    yield name, future.result()
                except BrokenProcessPool:
                    self._tries[name] = self._tries.get(name, 0) + 1
                    if self._tries[name] < TRIES:
                        self.submit(name, arguments)
                    else:
                        yield name, {"status": "failed", "reason": f"its process died {TRIES} times (memory?)"}

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Dask:
    """A Dask cluster whose workers see the work folder under the same path."""

    def __init__(self, function: Callable[..., dict[str, Any]], address: str) -> None:
        self._client: Any = connect(address)
        self._function = function
        self._running: dict[str, str] = {}
        import distributed

        self._done: Any = distributed.as_completed(loop=self._client.loop)  # type: ignore[no-untyped-call]

    def submit(self, name: str, arguments: Arguments) -> None:
        """Queue a call; a worker that dies is replaced by another."""
        future = self._client.submit(self._function, *arguments, pure=False, retries=TRIES)
        self._running[future.key] = name
        self._done.add(future)

    def finished(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield outcomes as they come."""
        for future in self._done:
            name, error = self._running.pop(future.key), future.exception()
            yield name, {"status": "failed", "reason": f"{type(error).__name__}: {error}"} if error else future.result()

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()


@contextlib.contextmanager
def workers(function: Callable[..., dict[str, Any]], count: int = 1, dask: str | None = None) -> Iterator[Workers]:
    """Run workers of the wanted kind, ended with the block."""
    if dask is not None:
        cluster = Dask(function, dask)
        try:
            yield cluster
        finally:
            cluster.close()
    elif count > 1:
        pool = Processes(function, count)
        try:
            yield pool
        finally:
            pool.close()
    else:
        yield Here(function)


def side_by_side(
    function: Call, tasks: Sequence[Arguments], workers: int = 1, done: Callable[[], None] = lambda: None
) -> list[Any]:
    """Call a function on each tuple of arguments, in processes, and return the results in order.

    Args:
        function: of a module, so that another process finds it.
        tasks: its arguments; one alone is done in this process.
        workers: processes. A script that asks for more than one needs ``if __name__ == "__main__"``.
        done: called after each task.

    Raises:
        InputError: a process died, mostly for lack of memory.
    """
    processes = min(len(tasks), workers)
    found = []
    if processes <= 1:
        for task in tasks:
            found.append(function(*task))
            done()
        return found
    others = set(active_children())
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _only_the_parent_ends_this)
    try:
        for future in [pool.submit(function, *task) for task in tasks]:
            found.append(future.result())
            done()
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - others:
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "a worker process", "died, mostly for lack of memory", "Take fewer: --workers 1. " + _GUARD
            ) from error
        raise
    pool.shutdown()
    return found


_GUARD = 'A script of your own must begin its work below `if __name__ == "__main__":`, as workers import it'


def _only_the_parent_ends_this() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent answers it
    _end_with_parent()


@contextlib.contextmanager
def spreading(address: str | None, workers: int = 1) -> Iterator[Spread | None]:
    """Yield what calls a function on each tuple of arguments elsewhere, results in order.

    That is a cluster where an address is given, else processes of this machine; None where one process is enough. A task
    whose worker on the cluster dies is run again by another; an error of the function is raised here.
    """
    if address is None:
        yield partial(side_by_side, workers=workers) if workers > 1 else None
        return
    client = connect(address)

    def spread(function: Call, tasks: Sequence[Arguments]) -> list[Any]:
        shared: dict[int, Any] = {}  # large arguments travel once, as tasks: what a dead worker held is made anew
        for a in (a for task in tasks for a in task if not isinstance(a, int | tuple | list)):
            if id(a) not in shared:
                shared[id(a)] = client.submit(_same, a, pure=False, retries=TRIES)
        sent = [[shared.get(id(a), a) for a in task] for task in tasks]
        futures = [client.submit(function, *task, pure=False, retries=TRIES) for task in sent]
        return list(client.gather(futures))

    try:
        yield spread
    finally:
        client.close()


def _same(argument: Any) -> Any:
    return argument


def connect(address: str) -> Any:
    """Return a client of a Dask scheduler.

    Raises:
        MissingExtraError: distributed is not installed.
        InputError: nobody answers at the address.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("distributed", "dask", "--dask") from error
    try:
        return distributed.Client(address, timeout="5s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--dask {address}", f"cannot be reached ({error or 'timeout'})", "Start a scheduler, or leave --dask away"
        ) from error
