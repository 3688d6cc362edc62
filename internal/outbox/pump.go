package outbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// Bounds of what is sent and not answered. A batch is sent when no other is
// outstanding, when one has been answered, or when flushBytes wait: idle lines
// leave at once and busy ones together, without a timer.
const (
	flushBytes      = 64 << 10  // bytes of records
	maxBatchBytes   = 128 << 10 // see take
	maxBatchRecords = 4096
	maxBatches      = 4
	stallTimeout    = 2 * time.Second // no byte of an outstanding reply for so long: the connection is dead
)

var errIDRefused = errors.New("redis has an ID at or above ours")

// A refusedError says that Redis does not take entries for now.
type refusedError struct{ reply string }

func (e *refusedError) Error() string { return "redis refuses entries for now: " + e.reply }

// A batch is what went to Redis in one write: looks, then records.
type batch struct {
	looks      []look
	records    int
	start, end position
	last       [entry.Streams]entry.ID // of its records
	counts     [entry.Streams]int
}

// A pipeline is one connection's traffic.
type pipeline struct {
	o        *Outbox
	conn     net.Conn
	inflight chan batch   // sent, for collect to read the answers of
	answered atomic.Int64 // batches
	trouble  atomic.Bool  // stop sending
	trial    atomic.Bool  // nothing has been taken yet of a server that has just refused some
	taken    func()       // called, if not nil, when the trial is over
}

// pump sends what waits and collects the answers until the connection breaks,
// Redis refuses an entry for now, or the outbox is cancelled; errIDRefused asks
// for a reconcile. When it returns nothing is outstanding that could still be
// answered. taken is not nil if Redis has just refused entries: then the first
// one goes alone, so that Redis does not refuse it and take those behind it, and
// taken is called when it has been taken.
func (o *Outbox) pump(conn *redisconn.Conn, taken func()) error {
	p := &pipeline{o: o, conn: conn.Net, inflight: make(chan batch, maxBatches), taken: taken}
	p.trial.Store(taken != nil)
	// What reconcile's commands set must not end a write of ours.
	if err := conn.Net.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("redis connection: %w", err)
	}
	collected := make(chan error, 1)
	go func() {
		err := p.collect()
		if err != nil {
			p.trouble.Store(true)
			// A write that waits for the peer must not wait any longer.
			conn.Net.SetDeadline(time.Unix(1, 0))
			o.q.signal()
		}
		collected <- err
	}()
	sendErr := p.send()
	close(p.inflight)
	if err := <-collected; err != nil {
		return err
	}
	return sendErr
}

// send writes batches until there is trouble.
func (p *pipeline) send() error {
	q := p.o.q
	var (
		spans   []span
		out     commands
		sent    int64
		seen    int64                   // of answered, when we last sent
		last    [entry.Streams]entry.ID // sent on this connection
		looked  = time.Now()            // reconcile has just done so
		missing *slab
	)
	for !p.trouble.Load() {
		answered := p.answered.Load()
		outstanding := sent - answered
		waiting := q.waiting()
		most, records := int64(maxBatches), maxBatchRecords
		if p.trial.Load() {
			most, records = 1, 1
		}
		if waiting == 0 || outstanding >= most || outstanding > 0 && answered == seen && waiting < flushBytes {
			select {
			case <-q.wake:
				continue
			case <-p.o.ctx.Done():
				p.conn.SetDeadline(time.Unix(1, 0))
				return p.o.ctx.Err()
			}
		}
		var b batch
		spans, b.records, b.start, b.end, missing = q.take(spans[:0], maxBatchBytes, records)
		if missing != nil {
			p.o.load(missing)
			continue
		}
		if now := time.Now(); now.Sub(looked) >= lookEvery {
			looked = now
			for s, id := range last {
				if id != (entry.ID{}) && !p.o.told[s] {
					out.buf = p.o.enc.appendLook(out.buf, entry.Stream(s))
					b.looks = append(b.looks, look{stream: entry.Stream(s), sent: id})
				}
			}
		}
		for _, s := range spans {
			for at := 0; at < len(s.buf); {
				r := spool.At(s.buf, at)
				at += len(r)
				if !r.Is(spool.Landed) {
					p.o.enc.add(&out, r)
					b.last[r.Stream()] = r.ID()
					b.counts[r.Stream()]++
				}
			}
		}
		for s, n := range b.counts {
			if n > 0 {
				last[s] = b.last[s]
			}
		}
		// The answers are collected while the write goes on: neither side can
		// fill its socket and wait for the other.
		p.inflight <- b
		sent++
		seen = answered
		if err := out.write(p.conn); err != nil {
			return fmt.Errorf("write to redis: %w", err)
		}
	}
	return nil
}

// collect reads the answers to every batch in flight. It returns nil when
// inflight is closed and all is answered.
func (p *pipeline) collect() error {
	replies := newReplies(p.conn, stallTimeout)
	var result error
	for b := range p.inflight {
		var refusals []refusal
		for i := range b.looks {
			l := &b.looks[i]
			var err error
			if l.last, l.length, l.refusal, err = replies.info(); err != nil {
				p.settle(b, 0, nil)
				return fmt.Errorf("read from redis: %w", stalled(err))
			}
		}
		passing := false
		for i := range b.records {
			text, err := replies.next()
			if err != nil {
				p.settle(b, i, refusals)
				return fmt.Errorf("read from redis: %w", stalled(err))
			}
			if text != "" {
				refusals = append(refusals, refusal{i, text})
				passing = passing || redisconn.Passing(text)
			}
		}
		if !passing {
			// What does not take entries may be a master no more: what it lacks,
			// another has.
			for _, l := range b.looks {
				p.looked(l)
			}
		}
		if refusals == nil && result == nil {
			for s, n := range b.counts {
				if n > 0 {
					p.o.seen.acknowledged(entry.Stream(s), b.last[s], n)
					p.o.seen.there[s] += n
				}
			}
			p.o.q.release(b.end)
			if p.taken != nil {
				p.taken()
				p.taken = nil
				p.trial.Store(false)
			}
		} else if err := p.settle(b, b.records, refusals); err != nil && (result == nil || errors.Is(result, errIDRefused)) {
			result = err
			p.trouble.Store(true)
		}
		p.answered.Add(1)
		p.o.q.signal()
	}
	return result
}

func stalled(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer for %v", stallTimeout)
	}
	return err
}

// A refusal is an error reply to the i-th record of a batch.
type refusal struct {
	i    int
	text string
}

// settle takes the answers to the first n records of a batch one by one: what
// landed is marked, what Redis will never take is given up and told, and the
// rest stays for a reconcile. The error says why there is a rest.
func (p *pipeline) settle(b batch, n int, refusals []refusal) (rest error) {
	q := p.o.q
	var lost [entry.Streams]int
	var why [entry.Streams]string
	var dead []record
	i := 0
	q.mu.Lock()
	q.each(b.start, b.end, func(r record, _ position) bool {
		if r.Is(spool.Landed) {
			return true
		}
		if i == n {
			return false
		}
		if len(refusals) == 0 || refusals[0].i != i {
			r.Set(spool.Landed)
			p.o.seen.acknowledged(r.Stream(), r.ID(), 1)
			p.o.seen.there[r.Stream()]++
		} else {
			text := refusals[0].text
			refusals = refusals[1:]
			switch {
			case strings.HasPrefix(text, "ERR The ID specified in XADD") && !p.o.spent[r.Stream()]:
				// Sent for the first time, it is behind another writer's entry;
				// sent again, its first copy may have landed meanwhile.
				if r.Is(spool.Resent) {
					r.Set(spool.Behind)
				} else {
					r.Set(spool.Refused)
				}
				if rest == nil {
					rest = errIDRefused
				}
			case redisconn.Passing(text) || strings.HasPrefix(text, "NOAUTH "):
				r.Set(spool.Refused)
				rest = &refusedError{text}
			default:
				r.Set(spool.Landed | spool.Lost)
				lost[r.Stream()]++
				why[r.Stream()] = text
				dead = append(dead, r)
			}
		}
		i++
		return true
	})
	q.mu.Unlock()
	var kept [entry.Streams]int
	for _, r := range dead {
		if p.o.setAside(r, why[r.Stream()]) {
			kept[r.Stream()]++
		}
	}
	for s, n := range lost {
		if n > 0 {
			p.o.lose(entry.Stream(s), n, kept[s], why[s])
		}
	}
	q.releaseLanded()
	return rest
}
