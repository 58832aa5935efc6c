#!/bin/sh
# The tests on all cores: all of them, or those that pytest's arguments choose.
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE # they start Python hundreds of times: what it has compiled once is kept
exec .venv/bin/python -m pytest -n auto "$@"
