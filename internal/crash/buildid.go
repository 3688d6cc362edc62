package crash

import (
	"encoding/hex"
	"strconv"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
)

// buildID returns the build ID of an executable, or what Go's linker puts in its place. It
// is empty if the file has neither or cannot be read.
func buildID(path string) string { return formatID(corefile.ReadBuildID(path)) }

func formatID(id []byte, golang string) string {
	if id == nil && golang != "" {
		return strconv.QuoteToASCII(golang)
	}
	return hex.EncodeToString(id)
}
