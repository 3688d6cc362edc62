# The same targets serve a person and CI.
.PHONY: build demo test images lint bench torture fuzz tools clean

GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@latest
ACTIONLINT  = github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# How the binaries are built, as in the Dockerfiles and bench/. ARM64's functions begin at
# 16 bytes anyway.
FLAGS   = $(shell grep '^-' build.flags)
LDFLAGS = -s -w -funcalign=16 -extldflags=-static
# What wrapp version says; with nothing to say, Go's own build information is used.
COMMAND = github.com/lpportorino/jettison-base-images/internal/command
STAMP   = -X $(COMMAND).Version=$(shell git describe --tags --always --dirty 2>/dev/null) \
	-X $(COMMAND).Revision=$(shell git rev-parse HEAD 2>/dev/null) \
	-X $(COMMAND).Created=$(shell git show -s --format=%cI HEAD 2>/dev/null)

build: ## the tools, into bin/
	CGO_ENABLED=0 go build $(FLAGS) -ldflags="$(LDFLAGS) $(STAMP)" -o bin/ ./cmd/...

demo: ## the main job, with nothing but Go installed
	@go run ./demo

test: tools lint ## everything, with what it needs installed first
	go test -race ./...

# Building and entering images needs root, with a home of its own: what root writes into
# another user's Go cache that user cannot use.
SUDO = $(shell [ "$$(id -u)" -eq 0 ] || echo "sudo env HOME=/root 'PATH=$$PATH' 'GOPROXY=$$(go env GOPROXY)' 'UBUNTU=$$UBUNTU'")
images: ## all four images: built, entered, published to a registry on loopback
	@./.ci/install-tools buildah:buildah mmdebstrap:mmdebstrap /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring shellcheck:shellcheck jq:jq redis-server:redis-server unshare:util-linux aarch64-linux-gnu-objdump:binutils-aarch64-linux-gnu /usr/lib/binfmt.d/qemu-aarch64.conf:qemu-user-static,qemu-user-binfmt
	shellcheck images/*.sh .ci/run .ci/install-tools
	go run $(ACTIONLINT)
	go vet -tags images ./images
	$(SUDO) go test -tags images -count=1 -timeout 40m ./images

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
	@./.ci/install-tools redis-server:redis-server redis-benchmark:redis-tools unshare:util-linux setsid:util-linux systemd-notify:systemd python3:python3 gcc:gcc g++:g++ c++filt:binutils zstd:zstd lz4:lz4 xz:xz-utils node:nodejs javac:default-jdk-headless rustc:rustc gdb:gdb gdbserver:gdbserver ss:iproute2 aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-ld:libc6-dev-arm64-cross /usr/lib/binfmt.d/qemu-aarch64.conf:qemu-user-static,qemu-user-binfmt

clean:
	rm -rf bin
