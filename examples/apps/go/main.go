// Camera is an app in Go: go build -o camera .
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

// notify is sd_notify(3) without libsystemd.
func notify(state string) {
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		if conn, err := net.Dial("unixgram", path); err == nil {
			fmt.Fprint(conn, state)
			conn.Close()
		}
	}
}

func capture(frame int, sensors []int) {
	fmt.Printf("frame %d of sensor %d{{frames}}{{__healthpool__frames_beats}}\n", frame, sensors[0])
}

func main() {
	fmt.Println("camera starts{{temperature:42}}")
	fmt.Fprintln(os.Stderr, "WARNING: sensor is warm")
	notify("READY=1")
	for frame := 1; ; frame++ {
		sensors := []int{1}
		if _, err := os.Stat("crash"); err == nil {
			sensors = nil
		}
		capture(frame, sensors)
		notify("WATCHDOG=1")
		time.Sleep(100 * time.Millisecond)
	}
}
