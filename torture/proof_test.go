package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestProofs does every proof with fewer lines and faults.
func TestProofs(t *testing.T) {
	t.Parallel()
	up, err := build(t.Context(), t.TempDir(), uint64(time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range proofs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if p.name == "bad-disk" && os.Geteuid() != 0 {
				t.Skip("mounting file systems wants root")
			}
			t.Logf("again: go run ./torture -proof %s -seed %d", p.name, up.seed)
			if err := p.run(up, p.few, 100_000); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPlan checks that a seed always makes the same plan, and another seed another one.
func TestPlan(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64) string {
		r, err := newRig(setup{dir: t.TempDir(), text: text{seed: seed, width: 100}, volatile: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		return fmt.Sprintf("%+v", r.plan(50, 1_000_000, time.Second))
	}
	if a, b, c := plan(1), plan(1), plan(2); a != b || a == c {
		t.Errorf("%s\n%s\n%s", a, b, c)
	}
}
