package crash

import (
	"context"
	"fmt"
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
	defer c.Close()
	var text strings.Builder
	if err := c.Report(&text, corefile.ReportOptions{}); err != nil {
		return "", fmt.Errorf("walk the stacks: %w", err)
	}
	// The first paragraph repeats the command line, which may have secrets in it.
	_, rest, _ := strings.Cut(text.String(), "\n\n")
	return rest, nil
}
