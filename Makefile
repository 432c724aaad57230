# The targets that people and continuous integration use; `make help` lists them.

LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
VALE := github.com/vale-cli/vale/v3/cmd/vale@v3.22.0

# What Vale reads: documentation, comments of the API types, messages.
PROSE := README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md .github docs artifacts/monitoring artifacts/platforms hack/vale/README.md cmd pkg

# The race detector needs a C compiler. Without one the tests run all the same,
# and the summary says so.
RACE    := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
NO_RACE := $(if $(RACE),, without race detector: no C compiler)

# As the image is built: what is compiled for it is compiled once.
IMAGE_ENV   := CGO_ENABLED=0
IMAGE_FLAGS := -trimpath

# The suites, as arguments of `go test`.
UNIT        := $(RACE) ./cmd/... ./pkg/... ./hack/pictures/... ./test/docs/...
INTEGRATION := $(RACE) ./test/integration/...
E2E         := $(IMAGE_FLAGS) -count=1 -timeout=60m -p=1 -parallel=6 ./test/devcluster/... ./test/e2e/...
RELEASE     := -count=1 ./test/release/...
MONITORING  := -C test/monitoring $(IMAGE_FLAGS) -count=1 ./...
FAULTS      := $(IMAGE_FLAGS) -count=1 -timeout=20m -v ./test/faults/...

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build the server and the plugin into _output/bin
	@hack/build.sh

.PHONY: host-binaries
host-binaries: ## Build kube-apiserver, kube-controller-manager and etcd, once for each version, and kubectl if none fits
	@hack/build-host.sh

.PHONY: helm
helm: ## Build Helm, once for each version, if none fits
	@hack/build-host.sh helm

.PHONY: quickstart
quickstart: host-binaries build ## Bring up a development cluster with the server and the example
	@$(IMAGE_ENV) go run $(IMAGE_FLAGS) ./hack/devcluster up

.PHONY: dev-down
dev-down: ## Stop everything that quickstart has started
	@$(IMAGE_ENV) go run $(IMAGE_FLAGS) ./hack/devcluster down

.PHONY: test
test: host-binaries helm build ## Run all tests, with one summary at the end
	@go run ./hack/test "e2e=$(IMAGE_ENV) $(E2E)" "unit$(NO_RACE)=$(UNIT)" "integration$(NO_RACE)=$(INTEGRATION)" "release=$(RELEASE)" "monitoring=$(IMAGE_ENV) $(MONITORING)"

.PHONY: test-unit
test-unit: ## Run the unit tests with the race detector
	go test $(UNIT)

.PHONY: test-integration
test-integration: ## Run the integration tests, on a real etcd
	go test $(INTEGRATION)

.PHONY: test-e2e
test-e2e: host-binaries helm build ## Run the end-to-end tests, on a real kube-apiserver
	$(IMAGE_ENV) go test $(E2E)

.PHONY: test-monitoring
test-monitoring: ## Evaluate the alerts and the dashboard with Prometheus' own engine
	$(IMAGE_ENV) go test $(MONITORING)

.PHONY: test-browser
test-browser: build ## Test the playground in a real browser, headless
	go -C test/browser test -count=1 -timeout=10m ./... $(BROWSERFLAGS)

.PHONY: test-faults
test-faults: host-binaries build ## Kill, pause and starve the server and its dependencies, and print the recovery times
	@hack/build-ahead.sh
	$(IMAGE_ENV) go test $(FAULTS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for a minute (FUZZTIME=5m for longer)
	@hack/fuzz.sh

.PHONY: bench
bench: host-binaries build ## Measure 1,000 and 10,000 clusters on a development cluster (BENCHFLAGS="-n 200" for others)
	@go run ./test/bench $(BENCHFLAGS)

.PHONY: bench-go
bench-go: ## Run the Go benchmarks
	go test -run='^$$' -bench=. -benchmem ./pkg/...

.PHONY: lint
lint: lint-prose ## Check style and layering with golangci-lint, the workflows with actionlint, and the prose
	go run $(LINT) run
	go run $(ACTIONLINT)

.PHONY: lint-prose
lint-prose: ## Check documentation, API comments and messages with Vale (PROSE=docs/rollout.md for one file)
	@hack/vale/check-rules.sh $(VALE)
	go run $(VALE) $(PROSE)

.PHONY: verify
verify: ## Check that code is formatted, vetted and generated, and that go.mod is tidy
	@hack/verify.sh

.PHONY: update
update: ## Generate code
	hack/update-codegen.sh

.PHONY: pictures
pictures: ## Draw the pictures of the documentation
	$(IMAGE_ENV) go test $(MONITORING) -run TestTheChartsAreTheDashboardOfTheRecordedRun -write
	go run ./hack/pictures

.PHONY: playground-assets
playground-assets: ## Bundle the editor of the playground (takes node and npm)
	@hack/playground/build.sh

.PHONY: playground-picture
playground-picture: ## Take the screenshot of the playground for the documentation
	@$(MAKE) test-browser BROWSERFLAGS="-run TestScreenshot -screenshot"

.PHONY: recording
recording: host-binaries build ## Record the README's terminal on a real host, and draw it
	$(IMAGE_ENV) go test $(IMAGE_FLAGS) -count=1 ./test/e2e -run TestTheRecordingShowsWhatHappens -record
	@$(MAKE) pictures

.PHONY: metrics-recording
metrics-recording: host-binaries build ## Record the metrics of a run on a real host, and draw the dashboard with them
	$(IMAGE_ENV) go test $(IMAGE_FLAGS) -count=1 -timeout=20m ./test/e2e -run TestTheMetricsTellOfRolloutsAndHeldRemovals -record
	@$(MAKE) pictures

.PHONY: release
release: helm ## Make everything of a release in _output/release (VERSION=v0.2.0)
	go -C hack/release run . -version "$(VERSION)"
	go test -count=1 ./test/release -run TestARelease$$ -made "$(CURDIR)/_output/release/$(VERSION)"

.PHONY: clean
clean: dev-down ## Stop the development cluster and remove everything that was built
	rm -rf _output
