"""The suite of all contracts on Podman's Docker-compatible interface, with an engine of the tests' own."""

import pytest

from runners.failures import FailureCode
from tests.runners.contracts.conftest import built
from tests.runners.contracts.test_conformance import (  # noqa: F401 - collected here as well
    nothing_is_left,
    test_answers_written_before_a_crash_stand,
    test_closing_a_run_early_leaves_nothing,
    test_dead_submission_is_given_up,
    test_each_failure_has_its_code_and_the_run_goes_on,
    test_error_status_keeps_a_healthy_server,
    test_one_container_answers_the_whole_set,
    test_server_is_warm_and_sees_one_case_at_a_time,
    test_server_that_is_not_healthy_ends_the_run_soon,
    test_time_of_the_run_is_shared,
    test_whole_set_has_the_clock_of_the_run,
)
from tests.runners.own_engines import own_podman, take_base

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine():
    with own_podman() as started, started:
        take_base(started)
        yield started


@pytest.fixture(scope="module")
def image(engine):
    return lambda name: built(engine, name)


@pytest.fixture
def codes_of_engine():
    """Podman does not tell that memory ran out."""
    return {"memory-1": FailureCode.CRASHED}
