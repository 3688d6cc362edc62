package run

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// zone sets time.Local to the zone that TZ names. If there is no data of that zone, it returns
// a warning: package time silently uses UTC then.
func zone() (warning []string) {
	name := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if name == "" || name == "UTC" || time.Local.String() != "UTC" {
		return nil
	}
	if there, err := time.LoadLocation(name); err == nil { // by $ZONEINFO, which time.Local ignores
		time.Local = there
		return nil
	}
	return []string{fmt.Sprintf("there is no data of the zone that TZ names (%.40q), so wrapp's times, in run markers too, are UTC; the package tzdata has it", name)}
}
