#!/bin/sh
# Says what the image of a variant is called: images/name.sh VARIANT
set -eu
[ "$1" = panel ] && echo jettison-panel || echo "jettison-base-$1"
