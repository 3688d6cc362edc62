package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Back-off between attempts to connect: doubled from the first to the last, and each
// multiplied by a random factor from 0.5 to 1.5.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

const (
	// A pipeline may take stallTimeout, plus the time that its bytes take at sender.rate, in bytes a
	// second. That is slowest, or down to leastRate for a record that needs longer alone.
	stallTimeout = 2 * time.Second
	slowest      = 256 << 10
	leastRate    = 1 << 10

	// shrink divides the records of the next pipeline when one has failed.
	shrink = 8

	// renewEvery is how often the positions are renewed: those of streams that get no entries
	// would expire otherwise.
	renewEvery = 24 * time.Hour

	// farewellTimeout bounds setLife.
	farewellTimeout = time.Second
)

// A refusedError says that Redis does not take entries for now.
type refusedError struct{ reply string }

func (e *refusedError) Error() string { return "redis refuses entries for now: " + e.reply }

// A sender sends the queue to Redis, one pipeline after the other. If enough waits, it
// prepares the next one while the first is on its way. After a lost connection it sends
// again, from the first entry that is not known to have landed; the script skips those that
// have.
type sender struct {
	o      *Outbox
	client *redisconn.Client
	bound  string // bound: MAXLEN

	batches [2]batch // batches: one is on its way while the other is prepared
	ready   *batch   // ready: prepared batch, or nil

	ordinals
	writer       uint64                  // writer: the process that numbered the records being sent
	positionKeys [logstream.Count]string // positionKeys: of each stream's position in Redis

	known         bool                  // known: every server knows the script by its SHA
	plain         bool                  // plain: the user may not run scripts
	most          int                   // most: records of the next batch; see adapt
	rate          int                   // rate: bytes a second that a connection must carry; see adapt
	renewal       *time.Timer           // renewal: fires when the positions are to be renewed
	foreign       [logstream.Count]bool // foreign: the user was told that the stream has another writer
	plainReported bool                  // plainReported: the user was told of plain
}

// ordinals say for each stream how far the present writer's records are.
type ordinals struct {
	landed   [logstream.Count]uint64 // landed: of the last record known to have landed
	sent     [logstream.Count]uint64 // sent: of the last record in a batch or landed
	position [logstream.Count]uint64 // position: in Redis, by its last answer; plain XADD leaves it behind landed
	believed [logstream.Count]uint64 // believed: the position once the calls of all batches are carried out
	counts   [logstream.Count]uint64 // counts: how many entries the stream has taken, by its last answer
}

func newSender(o *Outbox) *sender {
	s := &sender{o: o, bound: strconv.Itoa(o.opts.MaxEntries), most: pipelineRecords, rate: slowest}
	s.renewal = time.NewTimer(o.opts.renewEvery)
	s.setWriter(o.q.writer)
	return s
}

// setWriter prepares for the records of another writer.
func (s *sender) setWriter(writer uint64) {
	s.writer, s.ordinals = writer, ordinals{}
	for stream, key := range s.o.opts.Keys {
		s.positionKeys[stream] = positionKey(key, writer)
	}
}

// serve sends over one connection until that breaks, Redis refuses entries for now, or
// the outbox is cancelled. It returns nil when the queue is closed and everything has
// landed.
//
// It calls taken once, when Redis takes entries. If barren, the connection before took none: then
// serve calls taken when the first entry lands or none waits, else at once.
func (s *sender) serve(client *redisconn.Client, barren bool, taken func()) error {
	o := s.o
	defer context.AfterFunc(o.ctx, client.Abort)()
	s.client, s.known, s.plain = client, false, false
	s.rewind()
	if !barren {
		taken()
	}
	for {
		select {
		case <-s.renewal.C:
			s.renew()
		default:
		}
		b := s.ready
		if s.ready = nil; b == nil {
			b = &s.batches[0]
			s.fill(b)
		}
		if b.records == 0 {
			if barren {
				barren = false
				taken()
			}
			if o.q.ended() {
				s.setLife(farewellLife)
				return o.ctx.Err()
			}
			select {
			case <-o.q.wake:
				continue
			case <-s.renewal.C:
				s.renew()
				continue
			case <-o.ctx.Done():
				return o.ctx.Err()
			}
		}
		exchange := s.exchange
		if s.plain {
			exchange = s.exchangePlain
		}
		before, began := s.landed, time.Now()
		filled := s.fillAhead(b)
		err := exchange(b)
		filled.Wait()
		if err == nil && s.landed == b.sent {
			o.q.advance(s.landed, b.end)
		} else {
			s.rewind()
		}
		landed := s.landed != before
		_, refused := errors.AsType[*refusedError](err)
		s.adapt(b, err != nil && !refused, landed, time.Since(began))
		if barren && landed {
			barren = false
			taken()
		}
		if err != nil && (!landed || !s.client.InCluster() || refused || o.ctx.Err() != nil) {
			return err
		}
	}
}

// adapt makes the next batch smaller when the connection ended before anything of b landed: the link
// may be too slow for the pipeline, or Redis may not take one of the records. A single record gets more
// time. Batches that land grow again: fast, if they take less than half of the time that they may take.
func (s *sender) adapt(b *batch, ended, landed bool, took time.Duration) {
	switch {
	case landed && took < s.timeout(b.bytes)/2:
		s.most, s.rate = min(2*s.most, pipelineRecords), slowest
	case landed:
		s.most = min(s.most+s.most/shrink+1, pipelineRecords)
	case !ended:
	case b.records > 1:
		s.most = max(1, min(s.most, b.records)/shrink)
	default:
		s.rate = max(s.rate/2, leastRate)
		if s.client.InCluster() {
			s.most = pipelineRecords // the nodes of other streams may be well
		}
	}
}

// renew makes the positions live on, also of streams that get no entries.
func (s *sender) renew() {
	s.renewal.Reset(s.o.opts.renewEvery)
	s.setLife(positionLife)
}

// rewind makes the sender send again what has not landed.
func (s *sender) rewind() {
	s.ready = nil
	s.sent, s.believed = s.landed, s.position
	s.o.q.rewind(s.landed)
}

// fill prepares a batch of waiting records.
func (s *sender) fill(b *batch) {
	b.reset()
	b.limit = s.most
	s.o.fillBatch(b, 0)
	if b.writer != s.writer { // all of the other writer's records have landed
		s.setLife(farewellLife)
		s.setWriter(b.writer)
	}
	if b.records == 0 {
		s.o.q.rewind(s.landed) // nextBatch left out what has landed or is marked Skip: release that
	}
	s.finish(b, s.known)
}

// aheadSlabs is how many slabs must wait before fillAhead prepares a batch.
const aheadSlabs = 4

// fillAhead prepares the next batch in the background while b is on its way, if much waits.
// Until filling is done, the caller must not use sent, ready and the other batch.
func (s *sender) fillAhead(b *batch) (filling *sync.WaitGroup) {
	filling = new(sync.WaitGroup)
	if !b.full() || s.plain || s.most < pipelineRecords {
		return filling
	}
	next, known := &s.batches[0], s.known
	if next == b {
		next = &s.batches[1]
	}
	filling.Go(func() {
		next.reset()
		if s.o.fillBatch(next, aheadSlabs); next.records > 0 {
			s.finish(next, known)
			s.ready = next
		}
	})
	return filling
}

// finish makes the commands of a batch. known: the servers have the script.
func (s *sender) finish(b *batch, known bool) {
	b.finish()
	for _, c := range b.calls {
		call := scriptCall{s.o.opts.Keys[c.stream], s.positionKeys[c.stream], s.believed[c.stream], positionLife, c.args}
		b.commands = append(b.commands, call.command(s.client, s.bound, !known))
		last := c.entries[len(c.entries)-1].Ordinal()
		s.sent[c.stream], s.believed[c.stream] = last, last
	}
	b.sent = s.sent
}

// timeout returns how long a pipeline of so many bytes may take.
func (s *sender) timeout(bytes int) time.Duration {
	return stallTimeout + time.Duration(bytes)*time.Second/time.Duration(s.rate)
}

// exchange sends a batch and handles the answers. The error says that the connection
// has ended, or that Redis refuses entries for now.
func (s *sender) exchange(b *batch) error {
	ctx, cancel := context.WithTimeout(s.o.ctx, s.timeout(b.bytes))
	defer cancel()
	results := s.client.DoMulti(ctx, b.commands...)
	known, before := true, s.position
	var failed error                // error of the first call that failed; in a cluster others may have landed
	var short [logstream.Count]bool // a call did not add all of its entries: the next calls must wait
	for i, c := range b.calls {
		a, err := parseAnswer(results[i])
		reply := redisconn.Reply(err)
		switch {
		case reply != "":
		case err != nil:
			short[c.stream] = true
			failed = cmp.Or(failed, fmt.Errorf("send to redis: %w", err))
			continue
		case short[c.stream]:
			continue
		case a.outcome == behind && s.position[c.stream] != before[c.stream]:
			// While a cluster moves the slot, calls of one batch can be carried out in another order.
			// If Redis has lost the earlier call instead, the next batch finds that.
			short[c.stream] = true
			continue
		case a.outcome == noPosition:
			reply = a.failure
		}
		if reply == "" {
			short[c.stream] = !s.acceptAnswer(c, a)
			if redisconn.Temporary(a.failure) {
				failed = cmp.Or[error](failed, &refusedError{a.failure})
			}
			continue
		}
		short[c.stream] = true
		switch {
		case redisconn.Unknown(reply):
			known = false
		case redisconn.Temporary(reply) || strings.HasPrefix(reply, "NOAUTH "):
			failed = cmp.Or[error](failed, &refusedError{reply})
		case strings.Contains(reply, "Protocol error"):
			// An entry is larger than Redis allows; the reply does not say which.
			if b.records == 1 {
				s.o.refuse(c.entries[0], reply)
			}
			return fmt.Errorf("redis has ended the connection: %s", reply)
		case a.outcome == noPosition, redisconn.MayNotRun(reply):
			s.becomePlain(reply)
		case redisconn.Denied(reply):
			switch err := s.probe(ctx, s.positionKeys[c.stream]); {
			case err == nil: // it is the stream that may not be used
				s.refuseAll(c, reply)
			case redisconn.Denied(redisconn.Reply(err)):
				s.becomePlain(reply)
			default:
				return fmt.Errorf("send to redis: %w", err)
			}
		case len(c.entries) > 1:
			s.most = 1 // the reply may be about one of the entries
		default:
			s.refuseAll(c, reply)
		}
	}
	s.known = known
	return failed
}

func (s *sender) refuseAll(c *call, reply string) {
	for _, r := range c.entries {
		s.o.refuse(r, reply)
	}
}

// probe returns the error of a script that may use a key and does nothing.
func (s *sender) probe(ctx context.Context, key string) error {
	probe := s.client.B().Arbitrary("EVAL", "return 1", "1").Keys(key).Build()
	return s.client.Do(ctx, probe).Error()
}

// acceptAnswer records the script's answer to a call, and reports whether all entries of
// the call have landed.
func (s *sender) acceptAnswer(c *call, a answer) bool {
	stream := c.stream
	if a.outcome == behind {
		s.resendLost(stream, a)
		return false
	}
	if a.ordinal > s.landed[stream] {
		s.o.q.markAccepted(stream)
	}
	s.landed[stream] = max(s.landed[stream], a.ordinal)
	s.position[stream], s.counts[stream] = a.ordinal, a.count
	if a.moved > 0 && !s.foreign[stream] {
		s.foreign[stream] = true
		s.o.Say(logstream.Status, fmt.Sprintf(sayForeign, s.o.opts.Keys[stream]))
	}
	if a.failure == "" {
		return true
	}
	if !redisconn.Temporary(a.failure) {
		for _, r := range c.entries {
			if r.Ordinal() > a.ordinal {
				s.o.refuse(r, a.failure)
				if !aboutStream(a.failure) {
					break
				}
			}
		}
	}
	return false
}

// aboutStream reports whether a reply refuses all entries of the stream, not only one.
func aboutStream(reply string) bool {
	return strings.HasPrefix(reply, "WRONGTYPE ") || redisconn.Denied(reply) || strings.Contains(reply, "exhausted the last possible ID")
}

// resendLost sends again what is retained of the entries that the server has lost, and
// reports the loss.
func (s *sender) resendLost(stream logstream.Stream, a answer) {
	again := s.o.q.requeueLost(stream, a.ordinal)
	missing := max(int(s.counts[stream]-a.count), again) // plain XADD counts nothing
	s.landed[stream], s.position[stream], s.counts[stream] = a.ordinal, a.ordinal, a.count
	text := fmt.Sprintf(sayServerLost, missing, stream, again, missing-again)
	s.o.opts.Log.Warn(text)
	s.o.Say(logstream.Status, text)
}

// setLife sets how long the present writer's positions live. On an error they keep the life they have.
func (s *sender) setLife(life string) {
	if s.client == nil || s.plain {
		return
	}
	var commands []rueidis.Completed
	for stream, n := range s.position {
		if n > 0 {
			call := scriptCall{s.o.opts.Keys[stream], s.positionKeys[stream], 0, life, nil}
			commands = append(commands, call.command(s.client, "0", !s.known))
		}
	}
	ctx, cancel := context.WithTimeout(s.o.ctx, farewellTimeout)
	defer cancel()
	s.client.DoMulti(ctx, commands...)
}

// run connects and serves, again and again, until serve returns nil or Close gives up.
func (s *sender) run(client *redisconn.Client) {
	o := s.o
	defer close(o.done)
	var (
		backoff = firstBackoff
		away    time.Time // when Redis went away; zero while it is not away
		logged  bool      // the log mentions the outage
		barren  bool      // the last connection ended before any entry landed, or because Redis refused one for now
	)
	for {
		closing := closed(o.closing)
		var err error
		if client == nil {
			client, err = o.opts.Dial(o.ctx)
		}
		if err == nil {
			before := s.landed
			err = s.serve(client, barren, func() {
				if !closed(o.reached) {
					close(o.reached)
				}
				backoff = firstBackoff
				o.endOutage(away, logged)
				away, logged = time.Time{}, false
			})
			client.Close()
			client, s.client = nil, nil
			if err == nil {
				return // everything has landed
			}
			barren = s.landed == before
		}
		why := whyAway
		if refusal, ok := errors.AsType[*refusedError](err); ok {
			barren, why = true, fmt.Sprintf(whyRefused, strings.TrimSuffix(refusal.reply, "."))
		}
		o.q.setAway(why)
		if o.ctx.Err() == nil {
			o.why = err
		}
		if o.ctx.Err() != nil || closing && !closed(o.reached) {
			return
		}
		if away.IsZero() {
			away = time.Now()
		}
		if strings.Contains(err.Error(), "LOADING ") { // Redis loads its data, and then takes entries
			o.loading.Add(1)
		}
		// An outage that ends at the first attempt is not logged.
		if !logged && backoff > firstBackoff {
			logged = true
			o.opts.Log.Warn("redis is away; entries wait", "error", err)
		}
		wait := backoff/2 + rand.N(backoff)
		backoff = min(2*backoff, lastBackoff)
		var hurry <-chan struct{} // readable when Close begins; nil if it already has
		if !closing {
			hurry = o.closing
		}
		select {
		case <-time.After(wait):
		case <-o.ctx.Done():
			return
		case <-hurry:
		}
	}
}
