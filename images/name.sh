#!/bin/sh
# Prints the name of a variant's image: images/name.sh VARIANT
set -eu
[ "$1" = panel ] && echo jettison-panel || echo "jettison-base-$1"
