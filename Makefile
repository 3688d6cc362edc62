# The same targets serve a person and CI.
.PHONY: build demo panel test test-user test-servers stress images lint vulncheck bench torture fuzz tools clean docker otelcol cosign

# Tools at the versions of tools/go.mod, which Dependabot updates.
TOOL = go tool -modfile=tools/go.mod

# Flags of the binary, the same in bench/. The Dockerfiles add -extldflags=-static, which changes no
# code without cgo, and -tags=netgo, which changes only net.initConfVal.
FLAGS   = -trimpath
LDFLAGS = -s -w
# The output of wrapp version; for empty values it uses Go's own build information.
COMMAND = github.com/lpportorino/jettison-base-images/internal/command
STAMP   = -X $(COMMAND).Version=$(shell git describe --tags --always --dirty 2>/dev/null) \
	-X $(COMMAND).Revision=$(shell git rev-parse HEAD 2>/dev/null) \
	-X $(COMMAND).Created=$(shell git show -s --format=%cI HEAD 2>/dev/null)

build: ## the tools, into bin/: one binary and its names, as in the images
	CGO_ENABLED=0 go build $(FLAGS) -ldflags="$(LDFLAGS) $(STAMP)" -o bin/wrapp ./cmd/jettison
	ln -sf wrapp bin/jettison_health
	CGO_ENABLED=0 go build $(FLAGS) -ldflags="$(LDFLAGS) $(STAMP)" -o bin/jettison_panel ./cmd/jettison_panel

demo: ## the main job, with nothing but Go installed
	@go run ./demo

# With job control, Ctrl-C reaches only the program, not make; go run would turn it into an error.
panel: ## the panel on the demo's data, until Ctrl-C: http://127.0.0.1:8420
	@[ ! -t 0 ] || set -m; go build -o bin/demo ./demo && bin/demo panel

# The slowest packages begin first.
PKGS = ./internal/outbox ./internal/command ./torture ./...
# Four packages at a time and four tests of each, because most tests wait for other processes.
JOBS = -p 4 -parallel 4
# Without the race detector, which makes the tests take twice as long; CI runs them with it, too.
RACE =
test: lint tools ## all tests, after lint and tools; RACE=-race PKGS="./internal/x …"
	go test $(RACE) $(JOBS) -timeout 20m $(PKGS)

test-user: ## the tests as another user than root, with the names of skipped ones
	./.ci/as-user go run ./stress -n 1 -busy 0 -modes plain -test="$(JOBS)" $(PKGS)

SERVERS = $(or $(TMPDIR),/tmp)/jettison-servers
test-servers: tools ## delivery with Redis 6.0 and 8, and Valkey: Debian's packages, unpacked into SERVERS
	./.ci/other-servers $(SERVERS) go test -count=1 -timeout 20m ./internal/outbox ./internal/values ./internal/redisconn ./internal/command

N = 5
stress: tools ## the tests N times in each of MODES beside busy loops; PKGS="./internal/x …", MODES=race
	go run ./stress -n $(N) $(if $(MODES),-modes $(MODES)) $(if $(LOGS),-logs $(LOGS)) -test="$(JOBS)" $(PKGS)

# Building and entering images needs root, with root's own home: root must not write into another
# user's Go cache, because that user could not use the files.
SUDO = $(shell [ "$$(id -u)" -eq 0 ] || echo "sudo env HOME=/root 'PATH=$$PATH' 'GOPROXY=$$(go env GOPROXY)' 'UBUNTU=$$UBUNTU' 'CI=$$CI'")
images: ## all six images: built, entered, published to a registry on loopback
	@./.ci/install-tools buildah:buildah mmdebstrap:mmdebstrap zstd:zstd /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring shellcheck:shellcheck jq:jq redis-server:redis-server unshare:util-linux aarch64-linux-gnu-objdump:binutils-aarch64-linux-gnu /usr/lib/binfmt.d/qemu-aarch64.conf:qemu-user-static,qemu-user-binfmt
	shellcheck images/*.sh .ci/run .ci/install-tools .ci/other-servers .ci/as-user
	$(TOOL) actionlint
	$(SUDO) go test -tags images -count=1 -timeout 40m ./images

docker: ## the images in this machine's Docker engine
	@./.ci/install-tools mmdebstrap:mmdebstrap /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring redis-server:redis-server gcc:gcc gdb:gdb script:bsdutils
	$(SUDO) go test -tags docker -count=1 -timeout 30m ./images

otelcol: tools ## examples/ship through the OpenTelemetry Collector, which takes minutes to build
	cd examples/ship/otelcol && go build $(FLAGS) -ldflags="-s -w" -o $(CURDIR)/bin/otelcol .
	OTELCOL=$(CURDIR)/bin/otelcol go test -count=1 -v -run Otelcol ./examples

cosign: ## the signing of the images, by the real cosign, which takes minutes to build
	cd tools/cosign && go build -o $(CURDIR)/bin/cosign github.com/sigstore/cosign/v2/cmd/cosign
	COSIGN=$(CURDIR)/bin/cosign go test -tags cosign -count=1 -v -run Cosign ./images

lint:
	@files=$$($(TOOL) gofumpt -l .) || exit 1; test -z "$$files" || { echo "gofumpt would change: $$files"; exit 1; }
	go vet ./...
	GOARCH=arm64 go vet ./...
	go vet -tags images,docker,cosign ./images
	$(TOOL) staticcheck ./...

vulncheck: ## known vulnerabilities of our dependencies; needs the internet
	$(TOOL) govulncheck ./...

bench: tools ## the figures, as ratios in one run
	-@./.ci/install-tools /usr/lib/$$(gcc -print-multiarch)/rsyslog/omhiredis.so:rsyslog-hiredis
	go run ./bench -write docs/performance.md

TORTURE = $(if $(PROOF),-proof $(PROOF),-for 10m)
torture: tools ## every line accounted for through random faults; TORTURE="-seed N -for 1m", PROOF=redis-killed or all
	go run ./torture $(TORTURE)

FUZZTIME = 60s
fuzz: ## every fuzz target, each for FUZZTIME
	@for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' internal); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$file); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s ./$$(dirname $$file) || exit 1; \
		done; \
	done

tools: ## installs the programs that the tests need (Debian, Ubuntu)
	@./.ci/install-tools redis-server:redis-server redis-benchmark:redis-tools unshare:util-linux setsid:util-linux systemd-notify:systemd python3:python3 gcc:gcc g++:g++ c++filt:binutils zstd:zstd lz4:lz4 xz:xz-utils node:nodejs javac:default-jdk-headless rustc:rustc gdb:gdb gdbserver:gdbserver ss:iproute2 jq:jq script:bsdutils mount:mount chromium:chromium,chromium-browser promtool:prometheus /usr/sbin/rsyslogd:rsyslog aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-ld:libc6-dev-arm64-cross /usr/lib/binfmt.d/qemu-aarch64.conf:qemu-user-static,qemu-user-binfmt

clean:
	rm -rf bin
