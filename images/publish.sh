#!/bin/sh
# Publishes images from OCI layouts: what was tested is what is pushed, byte for byte.
#
#   images/publish.sh push REPOSITORY VARIANT LAYOUTS
#       pushes LAYOUTS/VARIANT-amd64 and LAYOUTS/VARIANT-arm64 by digest, without a tag,
#       and prints "ARCH DIGEST" for each
#   images/publish.sh tag REPOSITORY [REVISION]
#       reads those lines and sets the tags: main-REVISION-ARCH, latest-ARCH, and for
#       the index of both main-REVISION and latest; prints the lines and "index DIGEST".
#       Without a REVISION (a rebuild for the base's fixes) only latest and latest-ARCH.
#
# main-REVISION is set once: where it is already, it stays what it was. With LATEST=no
# latest stays, too: main has moved on. If nothing is left to set, and main-REVISION is of
# other images, nothing is printed.
set -eu
crane=$(dirname "$0")/crane.sh

# digest_of prints the digest of the one image that a layout has.
digest_of() {
	jq -er 'if (.manifests | length) == 1 then .manifests[0].digest else error("not one image") end' "$1/index.json"
}

push() {
	repository=$1 variant=$2 layouts=$3
	for arch in amd64 arm64; do # both are there before either is pushed
		found=$(jq -r .architecture "$layouts/$variant-$arch/blobs/$(config_of "$layouts/$variant-$arch")")
		[ "$found" = "$arch" ] || { echo "publish: $layouts/$variant-$arch is for $found" >&2; exit 1; }
	done
	for arch in amd64 arm64; do
		digest=$(digest_of "$layouts/$variant-$arch")
		"$crane" push "$layouts/$variant-$arch" "$repository@$digest" >&2
		echo "$arch $digest"
	done
}

# config_of prints where a layout has the configuration of its image.
config_of() {
	jq -r '.config.digest | sub(":"; "/")' "$1/blobs/$(digest_of "$1" | tr : /)"
}

tag() {
	repository=$1 revision=${2:-}
	lines=$(cat)
	manifests=
	digests=
	for arch in amd64 arm64; do
		digest=$(echo "$lines" | sed -nE "s/^$arch (sha256:[0-9a-f]{64})\$/\1/p")
		[ -n "$digest" ] || { echo "publish: no digest for $arch" >&2; exit 1; }
		manifests="$manifests -m $repository@$digest"
		digests="$digests $digest"
	done
	names=
	index=
	if [ -n "$revision" ]; then
		known=$(index_of "$repository:main-$revision")
		if [ -z "$known" ]; then
			names=main-$revision
		else
			echo "publish: main-$revision stays $known" >&2
			# Of these images it is what an earlier try has left, perhaps unsigned.
			members=$("$crane" manifest "$repository@$known" | jq -r '.manifests[].digest' | tr '\n' ' ')
			[ " $members" != "$digests " ] || index=$known
		fi
	fi
	[ "${LATEST:-yes}" = no ] || names="$names latest"
	if [ -z "$names$index" ]; then
		echo "publish: nothing to tag" >&2
		return
	fi
	for name in $names; do
		echo "$lines" | while read -r arch digest; do
			"$crane" tag "$repository@$digest" "$name-$arch" >&2
		done
		# The index comes last: while it is not there, this can be done again.
		if [ -z "$index" ]; then
			# shellcheck disable=SC2086 # a list of words
			"$crane" index append $manifests -t "$repository:$name" >&2
			index=$("$crane" digest "$repository:$name")
		else
			"$crane" tag "$repository@$index" "$name" >&2
		fi
	done
	echo "$lines"
	echo "index $index"
}

# index_of prints the digest of a tag, and nothing where the registry says that there is
# none. No other failure is taken for that: a tag that is set already could be moved.
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
push) shift; push "$@" ;;
tag) shift; tag "$@" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
