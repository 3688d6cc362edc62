#!/bin/sh
# Crane, which speaks to registries, at the version we use: built once into Go's
# cache. CRANE names another.
set -eu
if [ -z "${CRANE:-}" ]; then
	version=v0.22.1
	GOBIN=$(go env GOCACHE)/crane-$version
	CRANE=$GOBIN/crane
	[ -x "$CRANE" ] || GOBIN=$GOBIN go install "github.com/google/go-containerregistry/cmd/crane@$version"
fi
exec "$CRANE" "$@"
