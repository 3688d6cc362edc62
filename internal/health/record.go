package health

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A Record is a hash about the run, published in the pools' pipeline and with a lease as
// long as theirs. If Redis refuses it, the pools are published all the same.
type Record struct {
	Key string
	// Fields returns names and values, in turn; running says whether the app runs. It is called
	// before each publication, which waits for it.
	Fields func(running bool) []string
	// Refused is called once, with Redis's reason to refuse the hash or its lease. The hash is not
	// written again by the same connection.
	Refused func(reply string)
}

const (
	// recordDelay is how long after its start the record of an app without pools is first
	// published: an app that ends sooner costs no connection.
	recordDelay = 300 * time.Millisecond

	// recordShare is how often a record without pools is published within its lease.
	recordShare = 2.5
)

// recorder publishes a Record. The publisher's goroutine owns it.
type recorder struct {
	*Record
	lease   time.Duration
	refused bool // refused: until the connection ends
	told    bool // told: Refused was called
}

// open begins a connection. It asks whether Redis lets us set a lease: a hash without one would stay for ever.
func (r *recorder) open(ctx context.Context, client *redisconn.Client) error {
	if r.Record == nil {
		return nil
	}
	r.refused = false
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return r.check([]rueidis.RedisResult{client.Do(ctx, r.expire(client))})
}

func (r *recorder) expire(client *redisconn.Client) rueidis.Completed {
	return client.B().Pexpire().Key(r.Key).Milliseconds(r.lease.Milliseconds()).Build()
}

// renewal returns how long after a publication the lease is renewed without news. While the app runs
// there are news before.
func (r *recorder) renewal() time.Duration { return r.lease / 2 }

// fields returns the fields to publish; nil for none.
func (r *recorder) fields(running bool) []string {
	if r.Record == nil || r.refused {
		return nil
	}
	return r.Record.Fields(running)
}

// commands returns the record's commands for the pipeline, both on one key.
func (r *recorder) commands(client *redisconn.Client, fields []string) []rueidis.Completed {
	if fields == nil || r.refused {
		return nil
	}
	set := client.B().Hset().Key(r.Key).FieldValue()
	for i := 0; i < len(fields); i += 2 {
		set = set.FieldValue(fields[i], fields[i+1])
	}
	return []rueidis.Completed{set.Build(), r.expire(client)}
}

// check checks the answers to commands. A refusal for good is no error of the publication.
func (r *recorder) check(answers []rueidis.RedisResult) error {
	for _, answer := range answers {
		err := answer.Error()
		reply := redisconn.Reply(err)
		switch {
		case err == nil:
		case reply == "" || redisconn.Temporary(reply):
			return err
		default:
			if r.refused = true; !r.told {
				r.told = true
				r.Refused(reply)
			}
		}
	}
	return nil
}
