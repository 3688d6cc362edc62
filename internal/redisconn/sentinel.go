package redisconn

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// laggards is how long the last sentinels are waited for when most have answered.
const laggards = 200 * time.Millisecond

// newestFirst returns the addresses of the sentinels in the order in which the client, which asks
// them one after another, is to ask: by the age of the configuration that each knows, the newest
// first, then those that do not answer. It takes at most half of d's time-out.
func newestFirst(ctx context.Context, d *dialer, opts rueidis.ClientOption) []string {
	ctx, cancel := context.WithTimeout(ctx, d.timeout/2)
	defer cancel()
	asking := &Client{conns: make(map[net.Conn]struct{})}
	defer context.AfterFunc(ctx, asking.Abort)()
	opts.DialCtxFn = (&dialer{client: asking, first: ctx, timeout: d.timeout, tls: d.tls}).dial
	opts.Username, opts.Password, opts.SelectDB = opts.Sentinel.Username, opts.Sentinel.Password, 0
	master := opts.Sentinel.MasterSet
	opts.Sentinel, opts.ForceSingleClient = rueidis.SentinelOption{}, true

	type opinion struct {
		addr  string
		epoch int64
	}
	all := make([]opinion, len(opts.InitAddress))
	var asked sync.WaitGroup
	var answers atomic.Int32
	for i, addr := range opts.InitAddress {
		asked.Go(func() {
			all[i] = opinion{addr, epoch(ctx, opts, addr, master)}
			if all[i].epoch >= 0 && int(answers.Add(1)) == len(all)/2+1 {
				time.AfterFunc(laggards, cancel)
			}
		})
	}
	asked.Wait()
	slices.SortStableFunc(all, func(a, b opinion) int { return cmp.Compare(b.epoch, a.epoch) })
	addrs := make([]string, len(all))
	for i, o := range all {
		addrs[i] = o.addr
	}
	return addrs
}

// epoch asks the sentinel at addr for the epoch of its configuration of a master: the higher, the
// newer. It is 0 if the user may not ask for it, and -1 if the sentinel does not answer or does not
// know the master.
func epoch(ctx context.Context, opts rueidis.ClientOption, addr, master string) int64 {
	opts.InitAddress = []string{addr}
	c, err := rueidis.NewClient(opts)
	if err != nil {
		return -1
	}
	defer c.Close()
	fields, err := c.Do(ctx, c.B().Arbitrary("SENTINEL", "MASTER", master).Build()).AsStrMap()
	if Denied(Reply(err)) {
		return 0
	}
	if err != nil {
		return -1
	}
	n, _ := strconv.ParseInt(fields["config-epoch"], 10, 64)
	return n
}
