#!/bin/sh
# Builds one image into an OCI layout: images/build.sh VARIANT ARCH DIR
#   VARIANT  scratch or ubuntu22        ARCH  amd64 or arm64
# With BUILDER=buildah it is buildah that builds (BUILDAH is its command with the
# options that come before "bud"), from images it has already; else Docker's buildx.
set -eu
variant=$1 arch=$2 out=$3
cd "$(dirname "$0")/.."

. images/stamp.sh

set -- -f "Dockerfile.$variant" --platform "linux/$arch" --build-arg "TARGETARCH=$arch" \
	--build-arg "VERSION=$VERSION" --build-arg "REVISION=$REVISION" --build-arg "CREATED=$CREATED"
# The base is named by its digest, so that what is built is what the label says.
if [ "$variant" != scratch ]; then
	if [ -z "${BASE_DIGEST:-}" ]; then
		BASE_DIGEST=$(docker buildx imagetools inspect ubuntu:22.04 --format '{{.Manifest.Digest}}')
	fi
	set -- "$@" --build-arg "BASE_DIGEST=$BASE_DIGEST"
fi

if [ "${BUILDER:-buildx}" = buildah ]; then
	tag=localhost/jettison-base-$variant:$arch${BUILD:-}
	# shellcheck disable=SC2086 # a list of words
	${BUILDAH:-buildah} bud ${NO_CACHE:+--no-cache} --pull=never --isolation chroot --format docker \
		--build-arg "BUILDPLATFORM=linux/$(go env GOHOSTARCH)" "$@" -t "$tag" .
	# shellcheck disable=SC2086 # a list of words
	${BUILDAH:-buildah} push --format oci --quiet "$tag" "oci:$out:$variant-$arch"
else
	docker buildx build ${NO_CACHE:+--no-cache} --pull --provenance=false --sbom=false \
		--output "type=oci,dest=$out,tar=false" "$@" .
fi
