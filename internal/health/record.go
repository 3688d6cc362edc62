package health

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A Record is a hash about the run that is published in the pools' pipeline, with a lease as
// long as theirs. Unlike them it only tells: where Redis refuses it the pools are published
// all the same.
type Record struct {
	Key string
	// Fields are names and values, in turn; running says whether the app is there.
	Fields func(running bool) []string
	// Refused hears, once, why Redis does not take the hash. It is not written again.
	Refused func(reply string)
}

const (
	// recordDelay is how long an app without pools has run when its record is published
	// first: one that ends sooner costs no connection.
	recordDelay = 300 * time.Millisecond

	// recordShare is how often a record without pools is published within its lease.
	recordShare = 2.5
)

// recorder publishes a Record. The publisher's goroutine owns it.
type recorder struct {
	*Record
	lease   time.Duration
	refused bool
}

// fields returns what to publish; nil if nothing is.
func (r *recorder) fields(running bool) []string {
	if r.Record == nil || r.refused {
		return nil
	}
	return r.Record.Fields(running)
}

// commands are two more for the pipeline: they belong to one key.
func (r *recorder) commands(client *redisconn.Client, fields []string) []rueidis.Completed {
	if fields == nil {
		return nil
	}
	set := client.B().Hset().Key(r.Key).FieldValue()
	for i := 0; i < len(fields); i += 2 {
		set = set.FieldValue(fields[i], fields[i+1])
	}
	return []rueidis.Completed{set.Build(), client.B().Pexpire().Key(r.Key).Milliseconds(r.lease.Milliseconds()).Build()}
}

// heard takes the answers to commands. A refusal for good is no error of the publication.
func (r *recorder) heard(answers []rueidis.RedisResult) error {
	for _, answer := range answers {
		err := answer.Error()
		reply := redisconn.Reply(err)
		switch {
		case err == nil:
		case reply == "" || redisconn.Passing(reply):
			return err
		case !r.refused:
			r.refused = true
			r.Refused(reply)
		}
	}
	return nil
}

// untilQuit returns a context for a publication of a record alone, which is not worth
// waiting for at the end.
func untilQuit(quit <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
