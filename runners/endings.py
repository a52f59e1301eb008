"""How a container ended, once the engine knows."""

from __future__ import annotations

import time

from runners.engine import Engine
from runners.engine_facts import ContainerState

_KILLED = 137
# The kernel reports the death before the engine has noted the reason for it; a busy host takes its time.
_SECONDS_FOR_REASON = 2.0
_SECONDS_BETWEEN_LOOKS = 0.05


def ending(engine: Engine, container: str, seconds: int) -> ContainerState | None:
    """Wait for the end of a container; None when it lives on after ``seconds``."""
    if not engine.wait(container, seconds):
        return None
    state = engine.state(container)
    patience = time.monotonic() + _SECONDS_FOR_REASON
    while state.exit_code == _KILLED and not state.out_of_memory and time.monotonic() < patience:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        state = engine.state(container)
    return state
