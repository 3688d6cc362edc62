package fleet

import (
	"os"
	"strings"
)

// HostName is the name of this host; in a container often the container's ID.
func HostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// BootID is what the kernel calls the time since it was started; empty where it does not say.
func BootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}
