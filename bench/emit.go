package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"time"
)

// emitArg makes this program an app that writes lines at a steady rate.
const emitArg = "emit"

// emit writes n lines, rate a second. Each begins with the instant it was written
// at, in nanoseconds of the wall clock. Above 1,000 lines a second they come in
// groups, every millisecond.
func emit(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s wants a rate and a number of lines", emitArg)
	}
	rate, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	group := max(1, rate/1000)
	tick := time.Second * time.Duration(group) / time.Duration(rate)
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	next := time.Now()
	for i := 0; i < n; {
		time.Sleep(time.Until(next))
		next = next.Add(tick)
		for j := 0; j < group && i < n; j++ {
			fmt.Fprintf(out, "%d %0*d\n", time.Now().UnixNano(), lineBytes-20, i)
			i++
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}
