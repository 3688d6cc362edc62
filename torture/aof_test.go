package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestTornTransaction cuts the end of a transaction off a real append-only file. At its second
// start after that Redis replays what is left of the transaction, and refuses what another
// writer added with lower IDs. The account expects exactly that, and excuses it with two wrapps
// only.
func TestTornTransaction(t *testing.T) {
	t.Parallel()
	up := setup{dir: t.TempDir(), text: text{seed: 1, width: 100}}
	s, err := newServer(up.dir, true)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{setup: up, server: s, account: newAccount(up.text)}
	r.account.shared = true
	defer s.kill()
	// add adds lines 0 to n-1 of a run in one transaction, with IDs from ms-0.
	add := func(run, n, ms int) {
		t.Helper()
		c, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Send("MULTI")
		for i := range n {
			c.Send("XADD", key, fmt.Sprintf("%d-%d", ms, i), "message", up.line(nil, run, i))
		}
		if _, err := c.Do("EXEC"); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 3, 200)
	s.kill()
	file, err := s.file()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()-5); err != nil { // within EXEC
		t.Fatal(err)
	}
	if err := s.up(); err != nil {
		t.Fatal(err)
	}
	add(2, 2, 100)
	add(1, 3, 300)
	if err := r.collect(); err != nil {
		text, _ := os.ReadFile(filepath.Join(up.dir, "redis.log"))
		t.Fatalf("%v\n%s", err, text)
	}
	a := r.account
	if a.torn == 0 && a.stream.refused == 0 {
		t.Skip("this server cuts its file before a torn transaction")
	}
	if a.torn != 3 || a.stream.refused != 2 {
		t.Errorf("torn transactions of %d entries, %d refused", a.torn, a.stream.refused)
	}
	if a.compareReplay(0, 0, true); len(a.wrong) > 0 {
		t.Errorf("with two wrapps: %q", a.wrong)
	}
	if a.compareReplay(0, 0, false); len(a.wrong) != 1 {
		t.Errorf("with one wrapp: %q", a.wrong)
	}
}
