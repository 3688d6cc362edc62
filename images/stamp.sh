# shellcheck shell=sh
# Sets the origin that an image and its binary report. Read it with "."; variables that are set
# already stay. The values depend on the commit only, so that builds are reproducible. A fork's
# workflow sets SOURCE, so that its images do not claim to be ours.
VERSION=${VERSION:-$(git describe --tags --always --dirty)}
REVISION=${REVISION:-$(git rev-parse HEAD)}
CREATED=${CREATED:-$(git show -s --format=%cI HEAD)}
SOURCE=${SOURCE:-https://github.com/lpportorino/jettison-base-images}
export VERSION REVISION CREATED SOURCE
