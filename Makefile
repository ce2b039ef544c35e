# What a developer runs. CI runs .ci/run, which calls the same targets.

SHELL       := /bin/bash -o pipefail
GO          ?= go
FUZZTIME    ?= 30s
GOTESTFLAGS ?=

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Packages whose code runs goroutines: cheap enough for the race detector on two cores.
RACE := ./internal/artifact/... ./internal/cli/... ./pki/...

.DEFAULT_GOAL := help
.PHONY: help build image deps tools test race lint fuzz bench golden repro lab lab-vm lab-baked lab-broken lab-docs lab-faults lab-faults-full clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build imgforge and imgforge-node, static, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/imgforge ./cmd/imgforge-node

image: ## Make imgforge's container image into bin/imgforge-image.tar, an OCI layout; no container engine needed
	@mkdir -p bin
	$(GO) run ./internal/tools/image -o bin/imgforge-image.tar

deps: ## Install the Debian packages that the tests need (root or sudo)
	@internal/tools/deps.sh --install

tools: ## Build the pinned Go programs that the tests ask, once per user
	$(GO) test -count=1 -timeout 30m -run TestPinnedProgramsRun ./internal/testtool

test: ## Run every check and test; a missing tool fails (go test ./... skips instead)
	@internal/tools/deps.sh
	@$(MAKE) --no-print-directory format
	$(GO) vet ./...
	cd packer && $(GO) vet ./... && $(GO) test -shuffle=on $(GOTESTFLAGS) ./...
	@IMGFORGE_REQUIRE_TOOLS=1 $(MAKE) --no-print-directory tools
	IMGFORGE_REQUIRE_TOOLS=1 $(GO) test -shuffle=on -timeout 30m $(GOTESTFLAGS) ./...
	@$(MAKE) --no-print-directory race

race: ## Run the tests of concurrent packages under the race detector
	IMGFORGE_REQUIRE_TOOLS=1 CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 30m $(GOTESTFLAGS) $(RACE)

.PHONY: format
format:
	@bad=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	[ -z "$$bad" ] || { printf 'not formatted, run gofmt -w:\n%s\n' "$$bad" >&2; exit 1; }

lint: format ## Run gofmt, go vet, staticcheck, shellcheck and, with a network, govulncheck
	$(GO) vet ./...
	cd internal/tools/k8s-strict && $(GO) vet ./...
	cd internal/tools/oras-pull && $(GO) vet ./...
	cd packer && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags lab ./...
	shellcheck --severity=warning .ci/run $$(git ls-files '*.sh')
	@if curl -fsS -m 10 -o /dev/null https://vuln.go.dev/index/db.json 2>/dev/null; \
	then set -x; $(GO) run $(GOVULNCHECK) ./...; \
	else echo "lint: left out: govulncheck, its database cannot be reached from here" >&2; fi

fuzz: ## Run every fuzz target for FUZZTIME (30s) each
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do \
	echo "== $${file%/*} $${func#func }"; \
	$(GO) test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null || exit 1; done

bench: ## Measure against the programs that imgforge stands in for; prints ratios
	IMGFORGE_REQUIRE_TOOLS=1 $(GO) test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 3x ./internal/proof/bench

golden: ## Rewrite the golden files; read the diff before committing it
	$(GO) test -count=1 $$(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' . | xargs -n1 dirname | sort -u) -update

repro: ## Build the examples twice under different clocks, users, locales and folders; compare all bytes
	$(GO) test -count=1 -v -run TestReproducible ./internal/proof

lab: build ## Boot whole clusters in containers and judge them (root, Debian); report in lab-report/
	bin/imgforge test --report lab-report --topology tinc-vip --topology wireguard-local --topology cloud-init

lab-vm: build ## Boot nodes in virtual machines, with a kernel of their own (root once, for the disk); report in lab-report-vm/
	bin/imgforge test --report lab-report-vm --topology vm --topology vm-config-2 --topology vm-wireguard --topology vm-tinc --topology vm-clock

lab-baked: ## Boot a cluster from a sealed disk that imgforge baked, in a machine without a network, twice (root, Debian)
	IMGFORGE_REQUIRE_TOOLS=1 $(GO) test -tags lab -count=1 -v -timeout 90m -run 'TestBakedCluster$$' ./internal/lab

lab-broken: build ## Boot a broken payload per layer; each must end in the boot code that names it (root, Debian)
	bin/imgforge test --report lab-report-broken --topology broken

lab-docs: build ## Write docs/lab.md from a run of the lab on a clean checkout
	@git diff --quiet HEAD || { echo 'commit first: docs/lab.md names the commit it came from' >&2; exit 1; }
	bin/imgforge test --report lab-report --markdown docs/lab.md --topology tinc-vip --topology wireguard-local --topology cloud-init

FAULTS := bin/imgforge test --faults --report lab-report-faults --markdown docs/faults.md

lab-faults: build ## Write docs/faults.md: one fault of each class, on a clean checkout (root, Debian; an hour)
	@git diff --quiet HEAD || { echo 'commit first: docs/faults.md names the commit it came from' >&2; exit 1; }
	$(FAULTS)

lab-faults-full: build ## The same with every fault (many hours; it goes on where it was interrupted)
	@git diff --quiet HEAD -- . ':!docs/faults.md' || { echo 'commit first: docs/faults.md names the commit it came from' >&2; exit 1; }
	$(FAULTS) --full

clean: ## Remove what was built
	rm -rf bin lab-report lab-report-vm lab-report-broken lab-report-faults
