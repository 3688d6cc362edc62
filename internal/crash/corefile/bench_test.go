package corefile

import (
	"os/exec"
	"testing"
)

// BenchmarkReport compares the time of the whole report with gdb's for the same backtraces.
func BenchmarkReport(b *testing.B) {
	for _, row := range []struct {
		name string
		link string
		args []string
	}{{"small", "-pie", nil}, {"200 threads", "-pie", []string{"many"}}, {"static", "-static", nil}} {
		exe := compile(b, "gcc", "threads.c", "-O1", "-g", "-pthread", row.link)
		path := crash(b, exe, row.args...)
		b.Run(row.name+"/builtin", func(b *testing.B) {
			for b.Loop() {
				c, err := Open(path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				c.Report()
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(row.name+"/gdb", func(b *testing.B) {
			if _, err := exec.LookPath("gdb"); err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				gdb(b, "-ex", "bt 128", "-ex", "info registers", "-ex", "thread apply all -s bt 32", exe, path)
			}
		})
	}
}
