package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	appStatus = 3 // exit status of the app

	declare = "{{__healthpool__demo_init:1500}}{{__healthpool__demo_cap:1000}}" +
		"{{__healthpool__demo_depletion_rate:100}}{{__healthpool__demo_replenish_rate:15}}"
	beat    = "{{__healthpool__demo_beats}}"
	counter = "{{demo_frames}}"
)

// longLine is longer than the 64 KiB at which lines are split.
var longLine = "one long line: " + strings.Repeat("0123456789", 10_000) + " its end"

// app is the program that wrapp runs: it writes a few lines and fails in the end.
func app(stdout, stderr io.Writer) (status int) {
	fmt.Fprintln(stdout, declare)
	fmt.Fprintln(stdout, "INFO  hello from the app")
	for i := range 3 {
		fmt.Fprintf(stdout, "INFO  frame %d%s%s\n", i, counter, beat)
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintln(stderr, "WARNING the sensor is warm")
	time.Sleep(50 * time.Millisecond)
	fmt.Fprintln(stdout, longLine)
	time.Sleep(50 * time.Millisecond)
	fmt.Fprint(stderr, "ERROR giving up, without an end of line")
	return appStatus
}

// ended checks the pool in the output of jettison_health.
func ended(text []byte) error {
	var document struct {
		Data map[string]struct{ Beats, Cap, Running, Exit, Health int }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for _, p := range document.Data {
		if p.Beats == 3 && p.Cap == 1000 && p.Running == 0 && p.Exit == appStatus && p.Health == 0 {
			return nil
		}
	}
	return errors.New("the pool is not that of the app")
}

// arrived checks that the output of wrapp logs has all that the app wrote, in the order of each
// pipe.
func arrived(text []byte) error {
	end := fmt.Sprintf("_exit_%d}}\n", appStatus)
	for _, pipe := range [][]string{
		{
			" out    {{__NEW_RUN_",
			" out    INFO  hello from the app\n",
			" out    INFO  frame 0\n",
			" out    INFO  frame 1\n",
			" out    INFO  frame 2\n",
			" out    " + longLine + "\n",
			end,
		},
		{
			" err    WARNING the sensor is warm\n",
			" err    ERROR giving up, without an end of line\n",
			end,
		},
	} {
		rest := text
		for _, want := range pipe {
			i := bytes.Index(rest, []byte(want))
			if i < 0 {
				return fmt.Errorf("%.60q did not arrive where it belongs", want)
			}
			rest = rest[i+len(want):]
		}
	}
	return nil
}
