package crash

import (
	"context"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
)

// ReadCore is the Builtin that wrapp has.
func ReadCore(ctx context.Context, core, executable string) (string, error) {
	opts := corefile.Options{Executable: executable}
	if until, ok := ctx.Deadline(); ok {
		opts.Timeout = max(time.Until(until), time.Millisecond)
	}
	c, err := corefile.OpenWith(core, opts)
	if err != nil {
		return "", err
	}
	text := c.Report()
	c.Close()
	// What the first paragraph tells is in the report already.
	_, rest, _ := strings.Cut(text, "\n\n")
	return rest, nil
}
