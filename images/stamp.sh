# shellcheck shell=sh
# What an image and its binary say they were built from. To be read with "."; what is
# set already stays. The same commit says the same, so that it builds the same. A fork's
# workflow sets SOURCE, so that its images do not claim to be ours.
VERSION=${VERSION:-$(git describe --tags --always --dirty)}
REVISION=${REVISION:-$(git rev-parse HEAD)}
CREATED=${CREATED:-$(git show -s --format=%cI HEAD)}
SOURCE=${SOURCE:-https://github.com/lpportorino/jettison-base-images}
export VERSION REVISION CREATED SOURCE
