package outbox

import (
	"fmt"
	"path/filepath"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/spool"
)

// setAside keeps an entry that Redis will never take among the dead letters.
func (o *Outbox) setAside(r record, why string) bool {
	if o.opts.Spool == nil {
		return false
	}
	err := o.opts.Spool.SetAside(o.opts.Keys[r.Stream()], r, why)
	if err != nil && !o.deadTold {
		o.deadTold = true
		o.opts.Log.Warn("an entry that redis refused is lost", "error", err)
	}
	return err == nil
}

// lose tells, once for each stream, that Redis will never take entries. kept of
// them are among the dead letters.
func (o *Outbox) lose(stream entry.Stream, n, kept int, why string) {
	first := o.lost[stream] == 0
	o.lost[stream] += n
	o.lostKept[stream] += kept
	if !first {
		return
	}
	where := "they are lost"
	if kept > 0 {
		where = "they are set aside in " + filepath.Join(o.opts.Spool.Dir(), spool.DeadLetters)
	}
	o.opts.Log.Error("redis will not take entries; "+where, "stream", o.opts.Keys[stream], "reply", why)
	if stream != entry.Error {
		o.Say(entry.Error, fmt.Sprintf("%s takes no entries: %s; %s", o.opts.Keys[stream], why, where))
	}
}

// Refused is how many entries Redis refused for good, and how many of them are
// among the dead letters. It is to be called when Close has returned.
func (o *Outbox) Refused() (all, aside int) {
	for s := range entry.Streams {
		all += o.lost[s]
		aside += o.lostKept[s]
	}
	return all, aside
}
