package fleet

import (
	"os"
	"strings"
)

// HostName returns the name of this host; in a container often the container's ID.
func HostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// BootID returns the kernel's boot ID, new at each start of the machine; empty: not known.
func BootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}
