#!/bin/sh
# Makes .venv from a lock file pinned by hash. Argument: the lock file.
# uv makes it a matter of seconds; where uv cannot be had, pip installs from the same file.
set -eu

lock=$1
here=$(dirname "$0")
[ -x .venv/bin/python ] || python3 -m venv .venv
if [ ! -x .venv/bin/uv ]; then
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$here/bootstrap.lock" || true
fi
if [ -x .venv/bin/uv ]; then
    .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r "$lock"
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
else
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
