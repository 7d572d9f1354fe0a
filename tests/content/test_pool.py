"""Threads that do what they are given."""

from __future__ import annotations

import signal
import threading

import pytest

from modelpack.content.pool import CancelledError, Pool, Task, wait


def fail():
    raise ValueError("no")


def test_what_is_given_is_done_and_comes_back():
    with Pool(3, "test") as pool:
        tasks = [pool.submit(pow, number, 2) for number in range(100)]
        assert [task.result() for task in tasks] == [number**2 for number in range(100)]


def test_what_goes_wrong_is_raised_where_the_result_is_wanted():
    with Pool(1, "test") as pool:
        task = pool.submit(fail)
        with pytest.raises(ValueError, match="no"):
            task.result()
        assert isinstance(task.error(), ValueError)
        assert task.is_done


def test_so_many_threads_work_at_a_time_and_all_of_them():
    meeting = threading.Barrier(3)
    with Pool(3, "test") as pool:
        for task in [pool.submit(meeting.wait, 5) for _ in range(9)]:
            task.result()
        assert len([t for t in threading.enumerate() if t.name.startswith("test_")]) == 3
    assert [t for t in threading.enumerate() if t.name.startswith("test_")] == []


def test_a_thread_that_is_idle_is_used_before_another_one_begins():
    with Pool(4, "test") as pool:
        pool.submit(int).result()
        while pool._idle == 0:
            pass
        pool.submit(int).result()
        assert len(pool._threads) == 1


def test_what_was_not_begun_can_be_called_off():
    held = threading.Event()
    with Pool(1, "test") as pool:
        first, second = pool.submit(held.wait, 5), pool.submit(int)
        assert second.cancel()
        assert second.cancel()
        held.set()
        assert first.result()
        assert not first.cancel()
        with pytest.raises(CancelledError):
            second.result()


def test_a_pool_that_ends_finishes_or_calls_off_what_waits():
    for cancel in (False, True):
        held = threading.Event()
        pool = Pool(1, "test")
        first, second = pool.submit(held.wait, 5), pool.submit(int)
        pool.end(wait=False, cancel=cancel)
        held.set()
        assert first.result()
        assert isinstance(second.error(), CancelledError) is cancel
        pool.end()
        with pytest.raises(RuntimeError):
            pool.submit(int)


def test_who_asks_is_told_of_the_end_once():
    told: list[Task[int]] = []
    with Pool(1, "test") as pool:
        held = threading.Event()
        task = pool.submit(lambda: held.wait(5) and 7)
        task.then(told.append)
        held.set()
        assert task.result() == 7
    assert told == [task]
    task.then(told.append)
    assert told == [task, task]


def test_waiting_ends_with_the_first_failure():
    held = threading.Event()
    with Pool(2, "test") as pool:
        try:
            with pytest.raises(ValueError, match="no"):
                wait([pool.submit(held.wait, 5), pool.submit(fail), pool.submit(fail)])
        finally:
            held.set()
        wait([pool.submit(int), pool.submit(int)])
        wait([])


def test_ctrl_c_ends_the_waiting_and_nothing_else():
    held = threading.Event()
    with Pool(2, "test") as pool:
        tasks = [pool.submit(held.wait, 5)]
        with pytest.raises(KeyboardInterrupt):
            pool.submit(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            wait(tasks)
        held.set()
        assert tasks[0].result()
