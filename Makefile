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
	go run ./bench -write docs/performance.md

TORTURE = $(if $(PROOF),-proof $(PROOF),-for 10m)
torture: tools ## every line accounted for through random faults; TORTURE="-seed N -for 1m", PROOF=redis-killed or all
	go run ./torture $(TORTURE)

FUZZTIME = 60s
fuzz: ## every fuzz target there is, each for FUZZTIME
	@for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' internal); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$file); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s ./$$(dirname $$file) || exit 1; \
		done; \
	done

tools: ## what the tests need, if it is not there (Debian, Ubuntu)
	@./.ci/install-tools redis-server:redis-server redis-benchmark:redis-tools unshare:util-linux setsid:util-linux systemd-notify:systemd python3:python3 gcc:gcc g++:g++ c++filt:binutils zstd:zstd node:nodejs javac:default-jdk-headless rustc:rustc gdb:gdb gdbserver:gdbserver ss:iproute2 aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-ld:libc6-dev-arm64-cross qemu-aarch64-static:qemu-user-static

clean:
	rm -rf bin
