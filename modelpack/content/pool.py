"""Threads that do what they are given.

As `concurrent.futures` has them, which loads logging, and takes longer to load than a small
transfer. Ctrl-C may come at any time: who waits here waits for locks of the interpreter's own,
which it leaves as they were; those of `threading.Condition` it may leave locked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class CancelledError(Exception):
    """What was to be done was called off."""


class Task(Generic[T]):
    """Something that a thread of a pool does; threads may share it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._begun = threading.Lock()
        self._going_on = threading.Lock()
        self._going_on.acquire()
        self._telling = threading.Lock()
        self._then: list[Callable[[Task[T]], None]] = []
        self._found: list[T] = []
        self._error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._going_on.locked()

    def result(self) -> T:
        """Wait for what comes of it, or raise what it raised.

        Raises:
            CancelledError: it was called off.
        """
        error = self.error()
        if error is not None:
            raise error
        return self._found[0]

    def error(self) -> BaseException | None:
        """Wait until it has ended, and return what it raised."""
        with self._going_on:
            return self._error

    def cancel(self) -> bool:
        """Call it off, if it was not begun yet; tells whether it is called off."""
        if not self._begun.acquire(blocking=False):
            return self.is_done and isinstance(self._error, CancelledError)
        self._error = CancelledError()
        self._end()
        return True

    def then(self, hear: Callable[[Task[T]], None]) -> None:
        """Let *hear* be told when it has ended: by whoever ends it, or now if it has."""
        with self._telling:
            if not self.is_done:
                self._then.append(hear)
                return
        hear(self)

    def run(self) -> None:
        """Do it, unless it was called off."""
        if not self._begun.acquire(blocking=False):
            return
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            self._error = error
        self._end()

    def _end(self) -> None:
        del self._work
        with self._telling:
            self._going_on.release()
        for hear in self._then:
            hear(self)


class Pool:
    """At most *size* threads called *name*; one begins when there is something for it to do."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def submit(self, work: Callable[..., T], *given: Any) -> Task[T]:  # noqa: ANN401
        """Let one of the threads call *work* with what is *given*."""
        task = Task(lambda: work(*given))
        with self._lock:
            if self._ended:
                raise RuntimeError("the pool has ended")
            self._waiting.put(task)
            if self._idle:
                self._idle -= 1  # it is this one's
            elif len(self._threads) < self._size:
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name)
                thread.start()
                self._threads.append(thread)
        return task

    def end(self, *, wait: bool = True, cancel: bool = False) -> None:
        """Take nothing more; *cancel* what was not begun, and *wait* for the rest."""
        with self._lock:
            self._ended = True
        while cancel:
            try:
                doomed = self._waiting.get_nowait()
            except Empty:
                break
            if doomed is not None:
                doomed.cancel()
        self._waiting.put(None)  # each thread that leaves hands it on
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        task = self._waiting.get()
        while True:
            if task is None:
                self._waiting.put(None)
                return
            task.run()
            del task
            try:
                task = self._waiting.get_nowait()
            except Empty:
                with self._lock:
                    self._idle += 1
                task = self._waiting.get()


def wait(tasks: Sequence[Task[Any]]) -> None:
    """Wait until all of *tasks* have ended or one has failed; raise what it raised."""
    lock = threading.Lock()
    waiting = threading.Lock()
    left = len(tasks)

    def hear(task: Task[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if (not left or task.error() is not None) and waiting.locked():
                waiting.release()

    if tasks:
        waiting.acquire()
        for task in tasks:
            task.then(hear)
        waiting.acquire()
    for task in tasks:
        if task.is_done:
            task.result()
