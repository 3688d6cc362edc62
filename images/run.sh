#!/bin/sh
# Runs an image under Docker: images/run.sh VARIANT ARCH IMAGE
# IMAGE is a name that Docker knows, or an OCI layout on disk. If REVISION is set, IMAGE must be
# the build of that commit.
set -eu
variant=$1 arch=$2 image=$3
if [ -d "$image" ]; then
	# Not every Docker can load a layout, but each can pull from a registry on loopback.
	log=$(mktemp)
	"$(dirname "$0")/crane.sh" registry serve --address 127.0.0.1:0 2>"$log" &
	server=$!
	trap 'kill "$server"; rm -f "$log"' EXIT
	until port=$(sed -n 's/.*serving on port \([0-9]*\).*/\1/p' "$log") && [ -n "$port" ]; do
		kill -0 "$server" || { cat "$log" >&2; exit 1; }
		sleep 0.1
	done
	name=127.0.0.1:$port/jettison-base-$variant:$arch
	"$(dirname "$0")/crane.sh" push "$image" "$name"
	docker pull --quiet "$name"
	image=$name
fi

# says runs a command in the image and wants a word in its output.
says() {
	word=$1
	shift
	text=$(docker run --rm --read-only --tmpfs /tmp "$@" 2>&1) || { echo "run: $*: $text" >&2; exit 1; }
	case $text in
	*"$word"*) echo "run: $text" | head -1 ;;
	*) echo "run: $*: no \"$word\" in: $text" >&2; exit 1 ;;
	esac
}

if [ "$variant" = panel ]; then
	says "linux/$arch" "$image" --version
	says "${REVISION:-}" "$image" --version
	exit 0
fi
if [ "$variant" = scratch ]; then
	says "linux/$arch" "$image" version
	says "${REVISION:-}" "$image" version
	says "linux/$arch" --entrypoint jettison_health "$image" --version
	exit 0
fi
says "linux/$arch" "$image" wrapp version
says "${REVISION:-}" "$image" wrapp version
says "linux/$arch" "$image" jettison_health --version
says archer "$image" id -un
for tool in bash jq redis-cli gdb gdbserver; do
	says "" "$image" "$tool" --version
done
says "exited normally" --cap-add SYS_PTRACE "$image" gdb -nx -batch -ex run /bin/true
