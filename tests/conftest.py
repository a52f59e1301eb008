"""What all tests share."""

import os

from hypothesis import settings

# A busy machine is no failure, and a change must not fail for a case that another run drew.
settings.register_profile("proctor", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("proctor")
