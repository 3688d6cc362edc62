#!/bin/sh
# Builds one image into an OCI layout: images/build.sh VARIANT ARCH DIR
#   VARIANT  scratch, ubuntu22 or panel        ARCH  amd64 or arm64
# ubuntu22 is also written into DIR-zstd, with layers compressed by zstd at ZSTD_LEVEL (19).
# With BUILDER=buildah, buildah builds, from images that it has already (BUILDAH is its command
# with the options before "bud"); otherwise Docker's buildx.
set -eu
variant=$1 arch=$2 out=$3
cd "$(dirname "$0")/.."

. images/stamp.sh

# Digests name both bases: all images of one commit have the same bases, and the labels can
# name them.
GO_DIGEST=${GO_DIGEST:-$(images/retry.sh images/crane.sh digest golang:latest)}
set -- -f "Dockerfile.$variant" --platform "linux/$arch" --build-arg "TARGETARCH=$arch" \
	--build-arg "VERSION=$VERSION" --build-arg "REVISION=$REVISION" --build-arg "CREATED=$CREATED" \
	--build-arg "SOURCE=$SOURCE" --build-arg "GO_DIGEST=$GO_DIGEST"
if [ "$variant" = ubuntu22 ]; then
	BASE_DIGEST=${BASE_DIGEST:-$(images/retry.sh images/crane.sh digest ubuntu:22.04)}
	set -- "$@" --build-arg "BASE_DIGEST=$BASE_DIGEST"
fi

if [ "${BUILDER:-buildx}" = buildah ]; then
	tag=localhost/jettison-base-$variant:$arch${BUILD:-}
	# shellcheck disable=SC2086 # a list of words
	${BUILDAH:-buildah} bud ${NO_CACHE:+--no-cache} --pull=never --isolation chroot --format docker \
		--build-arg "BUILDPLATFORM=linux/$(go env GOHOSTARCH)" "$@" -t "$tag" .
	# shellcheck disable=SC2086 # a list of words
	${BUILDAH:-buildah} push --format oci --quiet "$tag" "oci:$out:$variant-$arch"
	# shellcheck disable=SC2086 # a list of words
	[ "$variant" != ubuntu22 ] || ${BUILDAH:-buildah} push --format oci --quiet \
		--compression-format zstd --compression-level "${ZSTD_LEVEL:-19}" "$tag" "oci:$out-zstd:$variant-$arch-zstd"
else
	build() {
		images/retry.sh docker buildx build --pull --provenance=false --sbom=false "$@" .
	}
	build ${NO_CACHE:+--no-cache} --output "type=oci,dest=$out,tar=false" "$@"
	[ "$variant" != ubuntu22 ] || build "$@" \
		--output "type=oci,dest=$out-zstd,tar=false,compression=zstd,compression-level=${ZSTD_LEVEL:-19},force-compression=true"
fi
