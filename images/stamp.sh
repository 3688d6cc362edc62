# shellcheck shell=sh
# What an image and its binary say they were built from. To be read with "."; what is
# set already stays. The same commit says the same, so that it builds the same.
VERSION=${VERSION:-$(git describe --tags --always --dirty)}
REVISION=${REVISION:-$(git rev-parse HEAD)}
CREATED=${CREATED:-$(git show -s --format=%cI HEAD)}
export VERSION REVISION CREATED
