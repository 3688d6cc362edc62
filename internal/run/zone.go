package run

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// zone sets time.Local to the zone that TZ names. Where there is no data of that zone it
// returns a warning: package time uses UTC then, without a word.
func zone() (warning []string) {
	name := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if name == "" || name == "UTC" || time.Local.String() != "UTC" {
		return nil
	}
	if there, err := time.LoadLocation(name); err == nil { // $ZONEINFO, at which time.Local does not look
		time.Local = there
		return nil
	}
	return []string{fmt.Sprintf("there is no data of the zone that TZ names (%.40q), so wrapp's times, in run markers too, are UTC; the package tzdata has it", name)}
}
