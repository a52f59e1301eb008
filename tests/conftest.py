"""What all tests share."""

import os
import signal

import pytest
from hypothesis import settings

from runners.engine import connect
from runners.errors import EngineMissing

# A busy machine is no failure, and a change must not fail for a case that another run drew.
settings.register_profile("proctor", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("proctor")

# A shell's background job ignores interrupts, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Mark every test that asks for the engine, so that none of them runs among those that fill the processors."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def engine():
    """The container engine of this machine; without one, what needs it is skipped with the two ways out."""
    try:
        connected = connect()
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield connected
    connected.close()
