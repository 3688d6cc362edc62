#!/bin/sh
# Publishes images from OCI layouts: it pushes the tested images, byte for byte. First it pushes
# everything by digest, then it signs, and only then it sets tags.
#
#   images/publish.sh push REPOSITORY VARIANT LAYOUTS [SUFFIX]
#       pushes LAYOUTS/VARIANT-amd64SUFFIX and LAYOUTS/VARIANT-arm64SUFFIX and an index of
#       both by digest, without a tag, and prints "amd64 DIGEST", "arm64 DIGEST" and
#       "index DIGEST". The index's annotations repeat the images' labels.
#   images/publish.sh sign REPOSITORY SBOM < LINES
#       reads those lines and signs each digest with cosign; the images get an SBOM,
#       SBOM-amd64.spdx.json and SBOM-arm64.spdx.json, as a signed statement.
#   images/publish.sh tag REPOSITORY [SUFFIX] < LINES
#       reads those lines and sets the tags that these variables name, with SUFFIX, and
#       for one architecture with -ARCH after it:
#         REVISION  a commit: main-REVISION and main- with its first 7 digits
#         RELEASE   vX.Y.Z: that tag; with MOVE=yes also vX.Y and vX
#         LATEST    yes: latest
#
# main-… and vX.Y.Z are set only once: an existing tag stays, and its -ARCH tags with it. A second
# run changes nothing.
set -eu
here=$(dirname "$0")
crane=$here/crane.sh
retry=$here/retry.sh

# digest_of prints the digest of a layout's one image.
digest_of() {
	jq -er 'if (.manifests | length) == 1 then .manifests[0].digest else error("not one image") end' "$1/index.json"
}

# blob prints the path of a digest's contents in a layout.
blob() {
	echo "$1/blobs/$(echo "$2" | tr : /)"
}

# config_of prints the path of the image's configuration in a layout.
config_of() {
	blob "$1" "$(jq -r .config.digest "$(blob "$1" "$(digest_of "$1")")")"
}

push() {
	repository=$1 variant=$2 layouts=$3 suffix=${4:-}
	index=$(mktemp -d)
	trap 'rm -rf "$index"' EXIT
	mkdir -p "$index/blobs/sha256"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$index/oci-layout"
	for arch in amd64 arm64; do # check both before pushing either
		layout=$layouts/$variant-$arch$suffix
		found=$(jq -r .architecture "$(config_of "$layout")")
		[ "$found" = "$arch" ] || { echo "publish: $layout is for $found" >&2; exit 1; }
		cp "$layout"/blobs/sha256/* "$index/blobs/sha256/"
		jq -c --arg arch "$arch" '.manifests[0] | {mediaType, digest, size, platform: {architecture: $arch, os: "linux"}}' \
			"$layout/index.json" >>"$index/manifests"
	done
	# GHCR shows only an index's own description, not that of its images.
	jq -cS '.config.Labels | with_entries(select(.key | startswith("org.opencontainers.image.") and (contains(".base.") | not)))' \
		"$(config_of "$layouts/$variant-amd64$suffix")" >"$index/annotations"
	jq -cn --slurpfile manifests "$index/manifests" --slurpfile annotations "$index/annotations" \
		'{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: $manifests, annotations: $annotations[0]}' \
		>"$index/index.json"
	digest=sha256:$(sha256sum "$index/index.json" | cut -d ' ' -f 1)
	"$retry" "$crane" push --index "$index" "$repository@$digest" >&2
	jq -r '"\(.platform.architecture) \(.digest)"' "$index/manifests"
	echo "index $digest"
}

# read_lines reads push's output into amd64, arm64 and index.
read_lines() {
	lines=$(cat)
	for what in amd64 arm64 index; do
		digest=$(echo "$lines" | sed -nE "s/^$what (sha256:[0-9a-f]{64})\$/\1/p")
		[ -n "$digest" ] || { echo "publish: no digest for $what" >&2; exit 1; }
		eval "$what=$digest"
	done
}

# shellcheck disable=SC2154 # read_lines sets amd64, arm64 and index
sign() {
	repository=$1 sbom=$2
	read_lines
	for file in "$sbom-amd64.spdx.json" "$sbom-arm64.spdx.json"; do
		[ -s "$file" ] || { echo "publish: no SBOM $file" >&2; exit 1; }
		# The transparency log refuses about 3.5 MB, after minutes and without a reason.
		[ "$(wc -c <"$file")" -lt 3000000 ] || { echo "publish: $file is too large to be signed" >&2; exit 1; }
	done
	for digest in "$amd64" "$arm64" "$index"; do
		"$retry" "${COSIGN:-cosign}" sign --yes "$repository@$digest" >&2
	done
	for arch in amd64 arm64; do
		eval "digest=\$$arch"
		"$retry" "${COSIGN:-cosign}" attest --yes --type spdxjson --predicate "$sbom-$arch.spdx.json" "$repository@$digest" >&2
	done
}

tag() {
	repository=$1 suffix=${2:-}
	read_lines
	once=
	[ -z "${REVISION:-}" ] || once="main-$REVISION main-$(echo "$REVISION" | cut -c 1-7)"
	[ -z "${RELEASE:-}" ] || once="$once $RELEASE"
	names=
	for name in $once; do # look up all before setting any
		known=$(index_of "$repository:$name$suffix")
		if [ -z "$known" ] || [ "$known" = "$index" ]; then
			names="$names $name"
		else
			echo "publish: $name$suffix stays $known" >&2
		fi
	done
	if [ -n "${RELEASE:-}" ] && [ "${MOVE:-}" = yes ]; then
		names="$names ${RELEASE%.*} ${RELEASE%%.*}"
	fi
	[ "${LATEST:-}" != yes ] || names="$names latest"
	# The index's tag comes last: a reader who sees it finds the others.
	for name in $names; do
		for arch in amd64 arm64; do
			eval "digest=\$$arch"
			"$retry" "$crane" tag "$repository@$digest" "$name$suffix-$arch" >&2
		done
		"$retry" "$crane" tag "$repository@$index" "$name$suffix" >&2
	done
}

# index_of prints the digest of a tag, or nothing if the registry says that the tag does not
# exist. Any other failure is an error: otherwise an existing tag could be moved.
index_of() {
	if answer=$("$crane" digest "$1" 2>&1); then
		echo "$answer" | tail -n 1
		return
	fi
	case $answer in
	*MANIFEST_UNKNOWN* | *NAME_UNKNOWN* | *"404 Not Found"*) ;;
	*) echo "publish: $answer" >&2; return 1 ;;
	esac
}

case ${1:-} in
push | sign | tag) "$@" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
