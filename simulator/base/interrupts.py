"""A signal that ends the work is noted as it arrives: code in C may turn its `KeyboardInterrupt` into an error of its own."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

Handler = Callable[[int, FrameType | None], object]
_came = threading.Event()


@contextlib.contextmanager
def noted(*numbers: signal.Signals) -> Iterator[None]:
    """Note these signals while the block runs; they raise `KeyboardInterrupt`.

    A handler that is there, a library's for instance, is called after it; an ignored signal stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = _came.is_set()
    before = {number: signal.getsignal(number) for number in numbers}
    ours = {number: _noting(former) for number, former in before.items() if former not in (signal.SIG_IGN, None)}
    for number, handler in ours.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:  # else a library has put its own before it
                signal.signal(number, before[number])
        if not known:
            _came.clear()


def _noting(former: Handler | int | None) -> Handler:
    then = former if callable(former) else signal.default_int_handler

    def handler(number: int, frame: FrameType | None) -> None:
        _came.set()
        then(number, frame)

    return handler


def check_interrupted(error: BaseException) -> None:
    """Raise `KeyboardInterrupt` if a signal came before this error, which may be what became of it."""
    if _came.is_set():
        raise KeyboardInterrupt from error
