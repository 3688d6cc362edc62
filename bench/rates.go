package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"
)

// rates measures the latency by rate, of one wrapp and of a client that does XADD itself.
func rates(s *server, wrapp, steady string) ([]row, error) {
	all := []int{1, 10, 100, 300, 1000, 3000, 10_000, 30_000, 100_000}
	var through, straight [2][]float64 // median and 99 %
	for _, rate := range all {
		n := rate // lines of one second, or of three at low rates
		if rate < 300 {
			n = max(5, 3*rate)
		}
		a, err := s.throughWrapp(wrapp, steady, rate, n)
		if err != nil {
			return nil, err
		}
		b, err := s.direct(steady, rate, n)
		if err != nil {
			return nil, err
		}
		for i, q := range []float64{0.5, 0.99} {
			through[i] = append(through[i], quantile(a, q).Seconds()*1000)
			straight[i] = append(straight[i], quantile(b, q).Seconds()*1000)
		}
	}
	x := make([]float64, 0, len(all))
	for _, r := range all {
		x = append(x, float64(r))
	}
	c := &curve{
		file: "latency.svg", title: "Latency by rate", x: x, xName: "lines a second", yName: "ms",
		lines: []series{
			{"wrapp, median", through[0]},
			{"wrapp, 99 %", through[1]},
			{"XADD, median", straight[0]},
			{"XADD, 99 %", straight[1]},
		},
	}
	at, worst := highest(through[0])
	at99, worst99 := highest(through[1])
	return []row{
		figure(fmt.Sprintf("latency at 1 to 100,000 lines a second, highest median (at %s)", thousands(x[at])), fmt.Sprintf("%.2f ms", worst)).
			against(fmt.Sprintf("XADD and XREAD: %.2f ms", straight[0][at]), worst, straight[0][at]).
			atMost("1 ms or less", worst, 1).drawn(c),
		figure(fmt.Sprintf("the same, highest of 99 %% (at %s)", thousands(x[at99])), fmt.Sprintf("%.2f ms", worst99)).
			against(fmt.Sprintf("XADD and XREAD: %.2f ms", straight[1][at99]), worst99, straight[1][at99]).
			atMost("10 ms or less", worst99, 10),
	}, nil
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

// direct adds the same app's lines with a minimal client: the lines of one read are one
// pipeline, whose answers it awaits. It returns their ages.
func (s *server) direct(steady string, rate, n int) ([]time.Duration, error) {
	const key = "bench:latency"
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	cmd := exec.Command(steady, strconv.Itoa(rate), strconv.Itoa(n))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	add := func() error {
		var commands bytes.Buffer
		lines, answers := make([]byte, 1000*(lineBytes+1)), make([]byte, 64<<10)
		commands.WriteString("SELECT 1\r\n")
		for have, want := 0, 1; ; { // bytes of an incomplete line; lines of answers to come
			got, err := out.Read(lines[have:])
			if err != nil {
				return cmd.Wait()
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
	start := func() error {
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { ended <- add() }()
		return nil
	}
	return s.follow(key, n, start, func() error { return <-ended })
}
