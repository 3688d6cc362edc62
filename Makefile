# The same targets serve a person and CI.
.PHONY: build demo test lint bench torture fuzz tools clean

GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@latest
LDFLAGS     = -s -w -extldflags=-static

build: ## the tools, into bin/
	CGO_ENABLED=0 go build -trimpath -tags=netgo -ldflags="$(LDFLAGS)" -o bin/ ./cmd/...

demo: ## the main job, with nothing but Go installed
	@go run ./demo

test: tools lint ## everything, with what it needs installed first
	go test -race ./...

lint:
	go vet ./...
	GOARCH=arm64 go vet ./...
	@files=$$(go run $(GOFUMPT) -l .); test -z "$$files" || { echo "gofumpt would change: $$files"; exit 1; }
	go run $(STATICCHECK) ./...

bench: tools ## the figures, as ratios in one run
	go run ./bench

TORTURE = -for 10m
torture: tools ## every line accounted for through random faults; TORTURE="-seed N -for 1m"
	go run ./torture $(TORTURE)

FUZZTIME = 60s
fuzz: ## every fuzz target for FUZZTIME
	go test -run '^$$' -fuzz FuzzSplit -fuzztime $(FUZZTIME) ./internal/lines
	go test -run '^$$' -fuzz FuzzLoad -fuzztime $(FUZZTIME) ./internal/config
	go test -run '^$$' -fuzz FuzzFlipped -fuzztime $(FUZZTIME) ./internal/spool
	go test -run '^$$' -fuzz FuzzSegment -fuzztime $(FUZZTIME) ./internal/spool
	go test -run '^$$' -fuzz FuzzReadCore -fuzztime $(FUZZTIME) ./internal/crash
	go test -run '^$$' -fuzz FuzzPattern -fuzztime $(FUZZTIME) ./internal/crash

tools: ## what the tests need, if it is not there (Debian, Ubuntu)
	@./.ci/install-tools redis-server:redis-server redis-benchmark:redis-tools unshare:util-linux setsid:util-linux systemd-notify:systemd python3:python3 gcc:gcc g++:g++ gdb:gdb

clean:
	rm -rf bin
