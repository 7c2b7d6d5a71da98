"""Work ahead in a thread of its own: frames are decoded, or encoded, while others are worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

__all__ = ["Behind", "ahead"]

T = TypeVar("T")
_END = object()


def ahead(items: Callable[[], Iterator[T]], *, depth: int = 4) -> Iterator[T]:
    """The items of an iterator that runs in a thread, at most `depth` ahead; its exception is raised here.

    The iterator is made, run and closed in that thread. Closing this generator ends it.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                pass
        return False

    def work() -> None:
        made = None
        try:
            made = items()
            for item in made:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:
            put((_END, error))
        finally:
            if made is not None and hasattr(made, "close"):
                made.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=work, daemon=True, name="poselift frames")
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()


class Behind:
    """Calls `work(item)` for each item put in, in a thread of its own, at most `depth` behind.

    A context manager: leaving it waits for the rest, or after an exception drops it. What fails in the thread is
    raised by the next `put` or on leaving.
    """

    def __init__(self, work: Callable[[Any], None], *, depth: int = 4) -> None:
        self._work, self._waiting = work, queue.Queue[Any](depth)
        self._error: BaseException | None = None
        self._drop = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="poselift encoding")

    def _run(self) -> None:
        while (item := self._waiting.get()) is not _END:
            if self._error is None and not self._drop:
                try:
                    self._work(item)
                except BaseException as error:
                    self._error = error

    def put(self, item: Any) -> None:
        if self._error is not None:
            raise self._error
        self._waiting.put(item)

    def __enter__(self) -> Behind:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._drop = kind is not None
        self._waiting.put(_END)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error
