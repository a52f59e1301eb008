"""Working ahead: order, end, failure and leaving early."""

import threading
import time

import pytest

from sandbox.asking.ahead import ahead


def test_items_come_in_order_and_end():
    with ahead(iter(range(100)), 8) as ready:
        assert list(ready) == list(range(100))
        assert list(ready) == []


def test_threads_share_the_items_and_all_find_the_end():
    taken: list[int] = []
    with ahead(iter(range(500)), 4) as ready:
        threads = [threading.Thread(target=lambda: taken.extend(ready)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(taken) == list(range(500))


def test_a_failure_of_the_source_reaches_the_consumer():
    def source():
        yield 1
        raise ValueError("broken")

    with ahead(source(), 4) as ready:
        assert next(ready) == 1
        with pytest.raises(ValueError, match="broken"):
            next(ready)
        with pytest.raises(ValueError, match="broken"):
            next(ready)


def test_no_more_than_asked_is_made_ahead():
    made: list[int] = []

    def source():
        for number in range(100):
            made.append(number)
            yield number

    with ahead(source(), 3) as ready:
        next(ready)
        time.sleep(0.3)
        assert len(made) <= 6


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    with ahead(iter(range(10**9)), 2) as ready:
        next(ready)
    assert threading.active_count() == before
