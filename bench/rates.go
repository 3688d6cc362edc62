package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// enough is the share of a rate whose arrival says that the rate is reached; the rest is the noise
// of when the first and the last line came.
const enough = 0.97

// sampledFrom is the rate from which the readers of the curve take a sample of the lines: reading
// all of them costs Redis as much as adding them.
const sampledFrom = 200_000

// rates measures the latency by rate, of one wrapp and of a client that does XADD itself. A rate
// that one of the two does not reach is no point of its curve: the lines' ages would only say for
// how long they had been piling up. The row says so then.
func rates(s *server, wrapp, steady string) ([]row, error) {
	all := []float64{1, 10, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 200_000, 300_000}
	var through, straight [2][]float64 // median and 99 %
	var faster []row
	for i, x := range all {
		rate := int(x)
		a, reached, err := s.atRate(rate, func(n int) feed { return s.byWrapp(wrapp, steady, rate, n) })
		if err != nil {
			return nil, err
		}
		b, reachedStraight, err := s.atRate(rate, func(n int) feed { return s.byXADD(steady, rate, n) })
		if err != nil {
			return nil, err
		}
		at := func(ages []time.Duration, arrive, q float64) float64 {
			if arrive < enough*x {
				return math.NaN()
			}
			return quantile(ages, q).Seconds() * 1000
		}
		for j, q := range []float64{0.5, 0.99} {
			through[j] = append(through[j], at(a, reached, q))
			straight[j] = append(straight[j], at(b, reachedStraight, q))
		}
		if rate < sampledFrom {
			continue
		}
		say := func(ms, arrive float64) string {
			if math.IsNaN(ms) {
				return "not reached: " + thousands(arrive) + " arrive"
			}
			return fmt.Sprintf("%.2f ms", ms)
		}
		got, base := through[0][i], straight[0][i]
		r := figure(fmt.Sprintf("latency at %s lines a second, median", thousands(x)), say(got, reached))
		anchor := "XADD and XREAD: " + say(base, reachedStraight)
		if math.IsNaN(got + base) {
			alone, err := rateAlone(steady, rate)
			if err != nil {
				return nil, err
			}
			r.anchor = anchor + "; the app alone writes " + thousands(alone)
		} else {
			r = r.against(anchor, got, base)
		}
		faster = append(faster, r)
	}
	c := &curve{
		file: "latency.svg", title: "Latency by rate", x: all, xName: "lines a second", yName: "ms",
		lines: []series{
			{"wrapp, median", through[0]},
			{"wrapp, 99 %", through[1]},
			{"XADD, median", straight[0]},
			{"XADD, 99 %", straight[1]},
		},
	}
	most, _ := slices.BinarySearch(all, sampledFrom) // the goals are for lower rates
	highestOf := func(name string, q int, goal string, limit float64) row {
		at, worst := highest(through[q][:most])
		return figure(fmt.Sprintf("%s (at %s)", name, thousands(all[at])), fmt.Sprintf("%.2f ms", worst)).
			against(fmt.Sprintf("XADD and XREAD: %.2f ms", straight[q][at]), worst, straight[q][at]).atMost(goal, worst, limit)
	}
	return append([]row{
		highestOf("latency at 1 to 100,000 lines a second: "+growth(all[:most], through[0][:most])+", highest median", 0, "1 ms or less", 1).drawn(c),
		highestOf("the same, highest of 99 %", 1, "10 ms or less", 10),
	}, faster...), nil
}

// atRate returns the ages of lines at a rate, all of them or a sample, and how many arrived a second.
// A sample has three tries: a moment in which other programs have the machine is no limit.
func (s *server) atRate(rate int, of func(n int) feed) (ages []time.Duration, arrive float64, err error) {
	if rate < sampledFrom {
		n := rate // of one second, or of two at low rates
		if rate < 300 {
			n = max(4, 2*rate)
		}
		ages, err = s.follow(of(n))
		return ages, float64(rate), err // these ages show it if lines pile up
	}
	for try := 0; try < 3 && arrive < enough*float64(rate); try++ {
		a, got, err := s.sample(of(2 * rate))
		if err != nil {
			return nil, 0, err
		}
		if got >= arrive {
			ages, arrive = a, got
		}
	}
	return ages, arrive, nil
}

// rateAlone returns how many lines a second the app writes at a rate if nothing holds it.
func rateAlone(steady string, rate int) (float64, error) {
	began := time.Now()
	err := exec.Command(steady, strconv.Itoa(rate), strconv.Itoa(rate)).Run()
	return float64(rate) / time.Since(began).Seconds(), err
}

// highest returns the highest of values, and its index.
func highest(values []float64) (at int, value float64) {
	for i, v := range values {
		if v > value {
			at, value = i, v
		}
	}
	return at, value
}

// byXADD returns a feed through a minimal client: the lines of one read are one pipeline, whose
// answers the client awaits.
func (s *server) byXADD(steady string, rate, n int) feed {
	const key = "bench:latency"
	ended := make(chan error, 1)
	start := func() error {
		conn, err := net.Dial("tcp", s.addr())
		if err != nil {
			return err
		}
		cmd := exec.Command(steady, strconv.Itoa(rate), strconv.Itoa(n))
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			conn.Close()
			return err
		}
		go func() {
			defer conn.Close()
			ended <- errors.Join(addLines(conn, key, out), cmd.Wait())
		}()
		return nil
	}
	return feed{key, rate, n, start, func() error { return <-ended }}
}

// addLines adds lines of lineBytes until their end.
func addLines(conn net.Conn, key string, out io.Reader) error {
	var commands bytes.Buffer
	lines, answers := make([]byte, 1000*(lineBytes+1)), make([]byte, 64<<10)
	commands.WriteString("SELECT 1\r\n")
	for have, want := 0, 1; ; { // bytes of an incomplete line; lines of answers to come
		got, err := out.Read(lines[have:])
		if err != nil {
			return nil
		}
		have += got
		whole := have / (lineBytes + 1)
		for i := range whole {
			fmt.Fprintf(&commands, "*8\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$7\r\n1000000\r\n$1\r\n*\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n",
				len(key), key, lineBytes, lines[i*(lineBytes+1):][:lineBytes])
		}
		have = copy(lines, lines[whole*(lineBytes+1):have])
		want += 2 * whole
		if _, err := conn.Write(commands.Bytes()); err != nil {
			return err
		}
		commands.Reset()
		for want > 0 {
			got, err := conn.Read(answers)
			if err != nil {
				return err
			}
			want -= bytes.Count(answers[:got], []byte{'\n'})
		}
	}
}
