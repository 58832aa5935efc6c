# The README's commands. Each works as the very first one on a fresh Debian or Ubuntu machine.
.PHONY: demo test test-quick test-long test-again lint dev setup docs lock sbom audit bench bench-quick bench-gpu soak help
.DEFAULT_GOAL := help
BIN := .venv/bin

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing: ffmpeg, .venv with the locked packages
	@scripts/setup.sh

demo: setup ## the main job on the bundled clip with the bundled demo models
	@$(BIN)/reframer demo

test: setup lint ## lint, types and all tests but the few that CI alone runs
	@scripts/test.sh

test-quick: setup ## the fast ones of the tests that need no model, server, browser or shared clip
	@REFRAMER_TEST_MEDIA=none scripts/test.sh -m "not models and not deployment and not browser and not slow"

test-long: ## whole deployments and fleets that are killed, cut off and told to end, the page in Firefox (an hour)
	@REFRAMER_TEST_SERVERS=1 scripts/setup.sh
	@REFRAMER_TEST_SERVERS=1 REFRAMER_TEST_LONG=1 scripts/test.sh -m long

test-again: setup ## those that failed last, one after the other
	@scripts/test.sh -n 0 --last-failed --last-failed-no-failures none

lint: setup ## lint, layers and types only
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check . && $(BIN)/lint-imports --no-logo && $(BIN)/mypy

dev: setup ## the Dagster UI and the HTTP API, with the embedded Postgres
	@$(BIN)/reframer dev

bench: setup ## speed beside hand-written scripts, as a table (CPU, about half an hour)
	@$(BIN)/python -m benchmarks

bench-quick: setup ## the rows that CI guards
	@$(BIN)/python -m benchmarks --quick

bench-gpu: setup ## the rows that need a GPU
	@$(BIN)/python -m benchmarks.gpu

soak: setup ## small videos and faults at random: make soak MINUTES=30 SEED="1 2 3"
	@$(BIN)/python -m reframer_pipeline_tests.faults.soak --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

docs: setup ## write the tables of docs/ anew from the code
	@$(BIN)/python scripts/docs_tables.py

sbom: ## list the locked packages as CycloneDX, in build/
	@scripts/setup.sh supply
	@.tools/supply/bin/python scripts/supply.py sbom

audit: ## ask for known defects of the locked packages
	@scripts/setup.sh supply
	@.tools/supply/bin/python scripts/supply.py audit

lock: ## resolve the dependencies anew into requirements.lock (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes pyproject.toml --extra dev --extra s3 --extra openvino --extra celery -o requirements.lock
	@echo datumaro | uv pip compile -q --universal --python-version 3.11 --generate-hashes - -o reframer_pipeline_tests/exports/datumaro.lock
	@printf 'check-jsonschema\nhadolint-bin\nkubernetes-validate\nmodal\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes - -o reframer_pipeline_tests/deploy/tools.lock
	@printf 'cyclonedx-bom\npip-audit\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes - -o reframer_pipeline_tests/supply/tools.lock
