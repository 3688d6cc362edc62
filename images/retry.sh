#!/bin/sh
# Repeats a command while it fails, because registries and signing services sometimes do:
# images/retry.sh COMMAND [ARG...]. It tries RETRIES (5) times, after WAIT (15) seconds, doubled
# each time.
set -eu
tries=${RETRIES:-5} wait=${WAIT:-15}
while :; do
	status=0
	"$@" || status=$?
	[ "$status" -ne 0 ] || exit 0
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || exit "$status"
	echo "retry: $1 ended with $status; again in $wait s" >&2
	sleep "$wait"
	wait=$((wait * 2))
done
