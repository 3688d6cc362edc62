package redisconn

import (
	"context"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

func TestDial(t *testing.T) {
	s := redistest.Start(t)
	c, err := Dial(context.Background(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
