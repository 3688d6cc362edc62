#!/bin/sh
# Runs a command again while it fails, as registries and signing services do at times:
# images/retry.sh COMMAND [ARG...]. RETRIES (5) times, with waits of WAIT (15) seconds that double.
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
