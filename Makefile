# What is here: make help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

GO ?= go
# Tools have modules of their own, so that they stay out of the module graph of those who import this one.
BUF := $(GO) tool -modfile=tools/go.mod buf
GOLANGCI_LINT := $(GO) tool -modfile=tools/lint/go.mod golangci-lint

# The race detector needs a C compiler; without one Go turns cgo off, and the tests run without the detector.
RACE = $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

PKG ?= ./...
RUN ?= .
TIMEOUT ?= 15m
TESTFLAGS ?=
COUNT ?= 20
BENCH ?= .
BENCHTIME ?= 1s
BENCHFLAGS ?=
SHORT ?=
FUZZTIME ?= 10s
FAULTS ?=
DURATION ?= 1h
RATE ?= 300
AT_MOST ?= 0
TIMES ?= 0

.PHONY: all
all: generate build test lint ## Generate, build, test and lint

.PHONY: help
help: ## Say what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: generate ## Generate code with buf and run the quickstart in memory
	@$(GO) run ./examples/quickstart

.PHONY: build
build: ## Compile every package
	@$(GO) build ./...

# Each package may talk to the broker, so two at a time are enough. The URL is asked for on a line of its own: a
# failure of scripts/rabbitmq has to end the target.
.PHONY: test
test: ## Run the tests with the race detector against RabbitMQ (PKG=./... RUN=. TESTFLAGS=)
	@$(if $(RACE),,echo "no C compiler: testing without the race detector" >&2)
	@ASYNC_TEST_AMQP_URL=$$(scripts/rabbitmq); export ASYNC_TEST_AMQP_URL; \
	$(GO) test $(RACE) -p 2 -timeout $(TIMEOUT) -run '$(RUN)' $(TESTFLAGS) $(PKG)
	@$(if $(filter ./...,$(PKG)),$(GO) -C examples/orders/export test $(RACE) -timeout $(TIMEOUT) -run '$(RUN)' $(TESTFLAGS) ./...)
	@$(if $(filter ./...,$(PKG)),ASYNC_TEST_AMQP_URL=$$(scripts/rabbitmq) $(GO) -C test/interceptors test $(RACE) -timeout $(TIMEOUT) -run '$(RUN)' $(TESTFLAGS) ./...)

.PHONY: conformance
conformance: ## Run Watermill's suite and ours 20 times in a row on every transport (COUNT=20)
	@$(if $(RACE),,echo "no C compiler: testing without the race detector" >&2)
	@ASYNC_TEST_AMQP_URL=$$(scripts/rabbitmq); export ASYNC_TEST_AMQP_URL; \
	$(GO) test $(RACE) -p 1 -timeout 3h -count $(COUNT) -run 'Conformance|PubSub' ./runtime/transport/...

.PHONY: bars
bars: ## Hold order, throughput and calls to their bars at full size, for twenty minutes; the calls go into docs/reliability.md
	@ASYNC_TEST_AMQP_URL=$$(scripts/rabbitmq); export ASYNC_TEST_AMQP_URL; \
	ASYNC_TEST_BARS=full ASYNC_TEST_BARS_OUT=$(CURDIR)/docs $(GO) test -timeout 1h -count 1 -v -run 'Bar' ./runtime ./runtime/asyncconnect
	@$(GO) run ./test/faults page --out docs

.PHONY: generate
generate: ## Generate code from the .proto files with buf
	@$(BUF) generate

.PHONY: check-generate
check-generate: ## Fail if generated code is not what make generate writes
	@scripts/check-generate

# The linter looks at one module at a time; the benchmarks and the tests with foreign interceptors are the others that have code.
.PHONY: lint
lint: ## Lint Go and proto files, and check that go.mod is tidy
	@$(GO) mod tidy -diff
	@$(GO) -C test/interceptors mod tidy -diff
	@$(GO) -C examples/orders/export mod tidy -diff
	@cd benchmarks && $(GO) mod tidy -diff
	@$(BUF) lint
	@$(GOLANGCI_LINT) run
	@cd benchmarks && $(GO) tool -modfile=../tools/lint/go.mod golangci-lint run --config ../.golangci.yaml
	@cd test/interceptors && $(GO) tool -modfile=../../tools/lint/go.mod golangci-lint run --config ../../.golangci.yaml

.PHONY: test-benchmarks
test-benchmarks: ## Test what measures, and run a moment of every benchmark
	@ASYNC_TEST_AMQP_URL=$$(scripts/rabbitmq); export ASYNC_TEST_AMQP_URL; \
	cd benchmarks && $(GO) vet ./... && $(GO) test $(RACE) -timeout $(TIMEOUT) ./...

.PHONY: bench
bench: ## Measure beside the peers for a quarter of an hour, into docs (SHORT=1: two minutes, into .tmp/bench; BENCHFLAGS=)
	@ASYNC_TEST_AMQP_URL=$$(scripts/rabbitmq); export ASYNC_TEST_AMQP_URL; \
	cd benchmarks && $(GO) run . $(if $(SHORT),-short -out ../.tmp/bench,-out ../docs) $(BENCHFLAGS)

.PHONY: microbench
microbench: ## Run Go's benchmarks beside the code (BENCH=. BENCHTIME=1s PKG=./...)
	@$(GO) test -p 1 -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) $(PKG)

.PHONY: fuzz
fuzz: ## Run every fuzz target for a short while (FUZZTIME=10s)
	@scripts/fuzz $(FUZZTIME)

# The harness starts itself again as producer and consumer, so it has to be a file.
.PHONY: faults
faults: ## Break what can be broken, for a short time each, at quorum queues (FAULTS=F1,F5)
	@$(GO) build -o .tmp/faults ./test/faults
	@.tmp/faults run --queues quorum --faults '$(FAULTS)'

.PHONY: faults-full
faults-full: ## Break everything for as long as its bars ask, and write docs/reliability.md (hours; FAULTS=, AT_MOST=1m, TIMES=5)
	@$(GO) build -o .tmp/faults ./test/faults
	@.tmp/faults run --full --out docs --faults '$(FAULTS)' --at-most $(AT_MOST) --times $(TIMES)

.PHONY: soak
soak: ## Break something at random every 30 seconds (DURATION=1h RATE=300)
	@$(GO) build -o .tmp/faults ./test/faults
	@.tmp/faults soak --duration $(DURATION) --rate $(RATE) --out docs
