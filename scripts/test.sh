#!/bin/sh
# All tests. Those of a running deployment mostly wait for sensors and schedules: they run beside the others, and their output comes after.
set -u
cd "$(dirname "$0")/.."
waiting=reframer_pipeline_tests/deployment
log=$(mktemp)
.venv/bin/python -m pytest "$waiting" >"$log" 2>&1 &
pid=$!
trap 'kill -INT "$pid" 2>/dev/null; wait "$pid"; rm -f "$log"; exit 130' INT TERM
.venv/bin/python -m pytest --ignore="$waiting"
status=$?
wait "$pid" || status=1
echo "The tests of a running deployment:"
cat "$log"
rm -f "$log"
exit "$status"
