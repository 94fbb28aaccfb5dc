# `make` lists the targets. SWIFT_FLAGS goes to every build, so that targets run one after the other share their work.
# CONFIGURATION is that of the tests and of the documentation; in release it wants SWIFT_FLAGS='-Xswiftc -enable-testing'.
SWIFT_FLAGS ?=
CONFIGURATION ?= debug
DEMO ?=
SIMULATE ?=
MINUTES ?= 1
BENCH ?=
GATE ?=
FUZZ ?= --minutes $(MINUTES)
TORTURE ?= all --minutes $(MINUTES)
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help setup build release install test lint format wasm demo simulate same bugs model fuzz torture sanitize coverage bench gate docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## check the toolchain, install missing libraries (as root on Debian or Ubuntu)
	@Scripts/setup

build: setup ## debug build of everything, tests included
	swift build --configuration $(CONFIGURATION) --build-tests $(SWIFT_FLAGS)

release: setup ## optimised build of the recall tool
	swift build --configuration release --product recall $(SWIFT_FLAGS)

install: release ## put the recall tool into $(PREFIX)/bin
	install -d "$(PREFIX)/bin"
	install -m 755 "$$(swift build --configuration release --product recall $(SWIFT_FLAGS) --show-bin-path)/recall" "$(PREFIX)/bin"

# The end-to-end tests keep real deadlines, so they share their threads neither with the tests that compute nor with each
# other: on two busy cores a connection waited 30 s for its hello.
test: build ## build and run all tests
	swift test --configuration $(CONFIGURATION) --skip-build --skip RecallEndToEndTests $(SWIFT_FLAGS)
	swift test --configuration $(CONFIGURATION) --skip-build --no-parallel --filter RecallEndToEndTests $(SWIFT_FLAGS)

lint: ## check formatting, sizes and what may trap
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Examples Fuzz Torture Benchmarks
	@Scripts/tidy

format: ## format all sources in place
	swift format --in-place --recursive --parallel Package.swift Sources Tests Examples Fuzz Torture Benchmarks

wasm: setup ## compile the core as Embedded Swift for wasm32
	@Scripts/wasm

demo: release ## type into many sessions while their server is killed again and again; options: make demo DEMO="--kills 50"
	@"$$(swift build --configuration release --product recall $(SWIFT_FLAGS) --show-bin-path)"/recall demo $(DEMO)

simulate: release ## run everything in a simulated world full of faults; options: make simulate SIMULATE="--faults 1000000"
	@"$$(swift build --configuration release --product recall $(SWIFT_FLAGS) --show-bin-path)"/recall simulate $(SIMULATE)

same: build release ## see that the same seeds give the same runs in a debug build and a release build
	@Scripts/same "$$(swift build --product recall $(SWIFT_FLAGS) --show-bin-path)/recall" \
		"$$(swift build --configuration release --product recall $(SWIFT_FLAGS) --show-bin-path)/recall"

# Shares what was built of the dependencies. The next build of any other target compiles our modules again, without what is
# planted in them: the compiler's arguments are others then.
bugs: setup ## plant bugs, one at a time, and see that the simulator finds each
	RECALL_PLANTED_BUGS=1 swift build --configuration release --product recall $(SWIFT_FLAGS)
	@cp "$$(swift build --configuration release --product recall $(SWIFT_FLAGS) --show-bin-path)/recall" .build/recall-bugs
	@.build/recall-bugs simulate --bugs

fuzz: setup ## build the fuzzers with AddressSanitizer and run each for a while; options: make fuzz MINUTES=60
	@SWIFT_FLAGS='$(SWIFT_FLAGS)' Scripts/fuzz $(FUZZ)

sanitize: setup ## run all tests under AddressSanitizer, then under ThreadSanitizer
	@SWIFT_FLAGS='$(SWIFT_FLAGS)' Scripts/sanitize

coverage: setup ## run all tests and report what of the libraries they reach
	@SWIFT_FLAGS='$(SWIFT_FLAGS)' Scripts/coverage

torture: setup ## kill real processes, break connections and disks; options: make torture MINUTES=10
	@SWIFT_FLAGS='$(SWIFT_FLAGS)' Scripts/torture $(TORTURE)

bench: setup ## measure beside bare limits, Redis and PostgreSQL; options: make bench QUICK=1, make bench BENCH="wire storms"
	@SWIFT_FLAGS='$(SWIFT_FLAGS)' Scripts/bench $(if $(QUICK),--quick) $(BENCH)

gate: setup ## fail if a message costs over 10 % more instructions or allocations than Benchmarks/gate says
	@Scripts/gate $(GATE)

docs: setup ## build the documentation of the libraries
	@Scripts/docs --configuration $(CONFIGURATION) $(SWIFT_FLAGS)

model: ## check the protocol's model with Spin: invariants, and that planted bugs are found
	@Model/check

clean: ## remove what was built
	rm -rf .build .build-bench .build-wasm .build-docs .build-fuzz .build-address .build-thread .build-coverage
