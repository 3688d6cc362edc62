package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	appStatus = 3 // what the app ends with

	beat    = "{{__healthpool__demo_beats}}"
	counter = "{{demo_frames}}"
)

// longLine is longer than the 64 KiB at which lines are split.
var longLine = "one long line: " + strings.Repeat("0123456789", 10_000) + " its end"

// app is what wrapp runs: it says a few things, and fails in the end.
func app(stdout, stderr io.Writer) (status int) {
	fmt.Fprintln(stdout, "INFO  hello from the app")
	for i := range 3 {
		fmt.Fprintf(stdout, "INFO  frame %d %s %s\n", i, counter, beat)
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintln(stderr, "WARNING the sensor is warm")
	time.Sleep(50 * time.Millisecond)
	fmt.Fprintln(stdout, longLine)
	time.Sleep(50 * time.Millisecond)
	fmt.Fprint(stderr, "ERROR giving up, without an end of line")
	return appStatus
}

// arrived checks what wrapp logs printed for all that the app said, in order.
func arrived(text []byte) error {
	for _, want := range []string{
		" out    {{__NEW_RUN_",
		" out    INFO  hello from the app\n",
		" out    INFO  frame 0 " + counter + " " + beat + "\n",
		" out    INFO  frame 1 " + counter + " " + beat + "\n",
		" out    INFO  frame 2 " + counter + " " + beat + "\n",
		" err    WARNING the sensor is warm\n",
		" out    " + longLine + "\n",
		" err    ERROR giving up, without an end of line\n",
		fmt.Sprintf("_exit_%d}}\n", appStatus),
	} {
		i := bytes.Index(text, []byte(want))
		if i < 0 {
			return fmt.Errorf("%.60q did not arrive where it belongs", want)
		}
		text = text[i+len(want):]
	}
	return nil
}
