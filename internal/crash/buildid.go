package crash

import (
	"encoding/hex"
	"os"
	"strconv"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
)

// buildID returns the build ID of an executable, or what Go's linker puts in its place. It
// is empty if the file has neither or cannot be read.
func buildID(path string) string {
	// The path may come from a core, and name anything, such as a FIFO.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	var id []byte
	var golang string
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		id, golang = corefile.ReadBuildID(file)
	}
	file.Close()
	if id == nil && golang != "" {
		return strconv.QuoteToASCII(golang)
	}
	return hex.EncodeToString(id)
}
