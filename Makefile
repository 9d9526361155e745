# The commands of the project. meson.build says how the program is built; the scripts are in tools/.
IMAGE   ?= docker-socket-proxy
TAG     ?= c-latest
OWNER   ?=
PREFIX  ?= /usr/local
DESTDIR ?=

export IMAGE TAG OWNER

.DEFAULT_GOAL := release
.PHONY: release run test lint fuzz oracle coverage mutate bench install deb rpm dist clean help \
	docker-build docker-binary docker-push-ghcr docker-push-dockerhub

release: ## Build the program: build/docker-socket-proxy, static and stripped
	@tools/build release

run: release ## Build and serve the local Docker Engine on port 3277 (a private one if there is none)
	@tools/run

test: ## Install what the tests need and run them all; STAGES="unit wire" runs some of them
	@tools/test $(STAGES)

lint: ## Check formatting, layers, banned functions, cppcheck, clang-tidy, scripts, man page
	@tools/lint

fuzz: ## Run each fuzz target for a minute; FUZZ_SECONDS changes that
	@tools/fuzz

oracle: release ## Compare how COUNT (1000000) bodies are judged with how Go reads them; SEED repeats a run
	@tools/install-deps tests/oracle/apt.txt
	@ORACLE_COUNT=$(or $(COUNT),1000000) ORACLE_SEED=$(SEED) /usr/bin/python3 -m pytest -q -rP -p no:cacheprovider tests/oracle

coverage: ## Say which lines of src/ the tests run: build-coverage/index.html; less than 95 % fails
	@tools/coverage

mutate: ## Change N (200) operators, one at a time, and say which changes no test notices
	@tools/mutate --count $(or $(N),200)

bench: release ## Measure against a bare relay, HAProxy and nginx
	@bench/run.py
	@bench/inside.py
	@bench/scrape.py

install: release ## Install program, man page, completions, documents and systemd unit below $(DESTDIR)$(PREFIX)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" tools/install

deb: ## Build the Debian package: build-deb/; ARCH=arm64 cross-compiles it
	@tools/deb $(ARCH)

rpm: ## Build the RPM package: build-rpm/; ARCH=arm64 cross-compiles it
	@tools/rpm $(ARCH)

dist: ## Make what a release carries: binaries and packages for amd64 and arm64, SBOMs, man page, unit, completions, checksums
	@tools/dist

docker-build: ## Build the image $(IMAGE):$(TAG)
	@tools/image build

docker-binary: docker-build ## Build the program in a container, for this machine, without a compiler on it
	@tools/image binary

docker-push-ghcr: docker-build ## Build and push $(IMAGE):$(TAG) to ghcr.io; OWNER= is the account unless IMAGE has it
	@tools/image push ghcr.io

docker-push-dockerhub: docker-build ## Build and push $(IMAGE):$(TAG) to Docker Hub; OWNER= is the account unless IMAGE has it
	@tools/image push docker.io

clean: ## Remove everything that was built
	rm -rf build build-*

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 24
