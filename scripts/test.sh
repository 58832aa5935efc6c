#!/bin/sh
# The tests on all cores: all of them, or those that pytest's arguments choose.
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE # they start Python hundreds of times: what it has compiled once is kept
status=0
.venv/bin/python -m pytest -n auto "$@" || status=$?
mkdir -p .pytest_cache && echo "$status" >.pytest_cache/status # make's own status does not say why: 1 is tests that failed
exit "$status"
