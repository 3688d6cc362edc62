#!/bin/sh
# Builds the static binaries of a release: images/binaries.sh DIR. There is one for each kind of
# CPU, with SHA256SUMS beside them. Each is wrapp, and jettison_health under that name.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
. images/stamp.sh
package=github.com/lpportorino/jettison-base-images/internal/command

# build builds one binary. Arguments: NAME ARCH GOARM64
build() {
	CGO_ENABLED=0 GOOS=linux GOARCH=$2 GOARM64=$3 go build -trimpath -buildvcs=false \
		-ldflags="-s -w -X $package.Version=$VERSION -X $package.Revision=$REVISION -X $package.Created=$CREATED" \
		-o "$out/$1" ./cmd/jettison
}
build wrapp-linux-amd64 amd64 v8.0
# As in the images: Jetson Orin and Xavier, Raspberry Pi 5.
build wrapp-linux-arm64-v8.2 arm64 v8.2,crypto,lse
# Jetson Nano and TX2, Raspberry Pi 3 and 4.
build wrapp-linux-arm64 arm64 v8.0
go run ./images/notices "$out/wrapp-linux-amd64" "$out/licences"
tar -C "$out" --sort=name --owner=0 --group=0 --mtime="$CREATED" -czf "$out/licences.tar.gz" licences
rm -r "$out/licences"
cd "$out"
sha256sum wrapp-linux-* licences.tar.gz >SHA256SUMS
