# Every command of the project. CI calls only these; `make` alone lists them.
#
# Tests run in the release profile, on purpose. The crash tests drive the release binaries
# anyway, so one profile means that each dependency is compiled once for the binaries, the
# tests, the benches and the demo together; a debug test run would compile all of them a second
# time, and the crash and simulation tests would then run several times slower. The invariants
# are `assert!`, which release keeps. For the inner loop, `cargo test -p CRATE` is still there.
#
# The tests find the binaries beside themselves in the target directory; BACKSTITCH_BIN and
# REPLAY_TOOL_BIN name others.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help check test sim bench run demo fmt torture mutants openapi schemathesis clients callbacks promtool binaries

CARGO ?= cargo
SEED ?=
ONLY ?=

# One selection of packages for every test command: another one would unify the dependencies'
# features differently and compile them again.
TEST := $(CARGO) test --release --locked --workspace --no-fail-fast

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

check: ## format, lints, documentation, and the tidy rules (layers, licences, advisories, links)
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --workspace
	$(TEST) --test main -- tidy::

test: binaries ## every test, with nextest where it is installed, and the doc tests
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --release --locked --workspace --no-fail-fast --config-file .ci/nextest.toml; \
	else \
		$(TEST) --lib --bins --tests; \
	fi
	$(TEST) --doc

sim: ## the simulation; SEED=n repeats one run, SEEDS=n tries so many
	$(if $(SEED),BACKSTITCH_SEED=$(SEED)) $(if $(SEEDS),BACKSTITCH_SEEDS=$(SEEDS)) $(TEST) --test main -- simulation:: --nocapture

bench: binaries ## the benches, as JSON lines and a table
	$(CARGO) run --release --locked -p backstitch-tests --bin bench

run: ## serve on 127.0.0.1:8080 with ./backstitch-data
	$(CARGO) run --release --locked -- serve

demo: ## a shop, its orders, a kill -9 halfway, and the books at the end
	$(CARGO) run --release --locked -- demo

fmt: ## format the sources
	$(CARGO) fmt --all

torture: binaries ## the long tests of kills, power cuts, broken disks and bit rot
	BACKSTITCH_TORTURE=1 $(TEST) -- torture --nocapture

mutants: ## deliberate faults, one at a time, each caught by its test; ONLY=name for some
	python3 tests/mutants/run.py $(ONLY)

openapi: ## write docs/openapi.json, the document that the server serves
	BACKSTITCH_WRITE_DOCS=1 $(CARGO) test --locked -p backstitch-api --test api -- the_kept_document

schemathesis: binaries ## 5,000 requests and more made of the OpenAPI document against a real server (needs PyPI)
	python3 tests/openapi/requests_made.py

clients: binaries ## clients generated from the OpenAPI document, against a real server (needs PyPI and npm)
	python3 tests/openapi/clients.py

callbacks: binaries ## callbacks of a real server, read by the public packages of their standards (needs PyPI)
	python3 tests/callbacks/receivers.py

promtool: binaries ## `promtool check metrics` over our own metrics (needs a Debian mirror)
	python3 tests/metrics/promtool.py

# The binaries exactly as they ship, for the tests that start and kill them.
binaries:
	$(CARGO) build --release --locked
