"""Make what an iterator yields ahead of time, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any

PATIENCE = 0.05  # seconds after which a thread that waits looks whether anybody wants its batch


def ahead(items: Iterator[Any], count: int) -> Generator[Any, None, None]:
    """Yield items in their order, of which up to `count` are made ahead.

    The thread begins with the first item and ends with the last, or when nobody asks any more; an
    error is raised where its item would have come.

    >>> list(ahead(iter("abc"), 2))
    ['a', 'b', 'c']
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(count)
    left = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not left.is_set():
            try:
                ready.put((kind, value), timeout=PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    worker = threading.Thread(target=work, name="minigrad prefetch", daemon=True)
    worker.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        left.set()
        worker.join()
