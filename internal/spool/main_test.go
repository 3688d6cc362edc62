package spool

import (
	"os"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // the tests want modes
	os.Exit(m.Run())
}
