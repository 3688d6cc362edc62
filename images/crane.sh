#!/bin/sh
# Runs crane, a client of registries, at the version of tools/go.mod. It is built once into Go's
# cache. CRANE names another binary.
set -eu
if [ -z "${CRANE:-}" ]; then
	tools=$(dirname "$0")/../tools
	version=$(sed -n 's,.*google/go-containerregistry \(v[^ ]*\).*,\1,p' "$tools/go.mod")
	CRANE=$(go env GOCACHE)/crane-$version/crane
	[ -x "$CRANE" ] || go build -C "$tools" -o "$CRANE" github.com/google/go-containerregistry/cmd/crane
fi
exec "$CRANE" "$@"
