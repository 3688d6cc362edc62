package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const crashesUsage = "wrapp crashes [FLAGS] NAME [SIGNATURE]"

// A crashesQuery has the flags and arguments of `wrapp crashes`.
type crashesQuery struct {
	where     whereabouts
	all       bool
	output    string
	name      string // empty: all
	signature string // empty: the groups
}

func crashesCommand(std run.Streams) *cobra.Command {
	q := &crashesQuery{output: "table"}
	c := &cobra.Command{
		Use:     "crashes [FLAGS] NAME [SIGNATURE]",
		Short:   "Group the crashes of an app, or show the newest report of a kind.",
		Example: crashesUsage + "\nwrapp crashes [FLAGS] --all",
		Long: `A signature is the same for the same death in another build or run; its first digits are enough.
A name may be left out where --config says it.`,
		RunE: func(_ *cobra.Command, args []string) error { return q.print(args, std) },
	}
	q.where.flags(c)
	c.Flags().BoolVar(&q.all, "all", false, "every app there is")
	choice(c, &q.output, "output", "print `FORMAT`", "table", "json")
	return c
}

// print prints the groups or a report.
func (q *crashesQuery) print(args []string, std run.Streams) error {
	cfg, err := q.where.load(args...)
	if err != nil {
		return err
	}
	switch {
	case q.all && len(args) > 0:
		return &usageError{"--all reads every app: name none", crashesUsage}
	case len(args) > 2:
		return &usageError{"crashes takes one name and one signature only", crashesUsage}
	case len(args) == 2:
		q.name, q.signature = args[0], strings.ToLower(args[1])
	case len(args) == 1:
		q.name = args[0]
	case !q.all && q.where.file != "" && cfg.CheckRun() == nil:
		q.name = cfg.Name()
	case !q.all:
		return &usageError{"crashes wants the name of an app, or --all", crashesUsage}
	}
	ctx := UntilSignal()
	client, err := redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	if err != nil {
		return err
	}
	defer client.Close()
	names := []string{q.name}
	if q.all {
		if names, err = journal.Names(ctx, client); err != nil {
			return err
		}
	}
	groups := []journal.Crashes{}
	for _, name := range names {
		more, err := journal.GroupCrashes(ctx, client, name)
		if err != nil {
			return err
		}
		groups = append(groups, more...)
	}
	if len(groups) == 0 && !q.all {
		if any, err := journal.NewReader(q.name).Last(ctx, client, 1, time.Time{}); err != nil {
			return err
		} else if len(any) == 0 {
			return fmt.Errorf("%s has no entries in database %d of this Redis", q.name, cfg.Redis.LogsDB)
		}
	}
	if q.signature != "" {
		return q.printReport(ctx, client, groups, std)
	}
	slices.SortStableFunc(groups, func(a, b journal.Crashes) int { return b.Last.Compare(a.Last) })
	if q.output == "json" {
		return quiet(writeCrashes(std.Stdout, groups))
	}
	return quiet(tableCrashes(std.Stdout, groups, q.all))
}

// printReport prints the newest report with the signature.
func (q *crashesQuery) printReport(ctx context.Context, client *redisconn.Client, groups []journal.Crashes, std run.Streams) error {
	var known, found []string
	var group *journal.Crashes
	for i := range groups {
		if g := &groups[i]; g.Signature != "" {
			known = append(known, g.Signature)
			if strings.HasPrefix(g.Signature, q.signature) {
				found = append(found, g.Signature)
				group = g
			}
		}
	}
	switch {
	case len(found) == 0 && len(known) == 0:
		return fmt.Errorf("%s has no crashes with a signature", q.name)
	case len(found) == 0:
		return &usageError{fmt.Sprintf("%s has no crash of the signature %s", q.name, strconv.Quote(q.signature)), "there are " + strings.Join(known[:min(len(known), 8)], ", ")}
	case len(found) > 1:
		return &usageError{fmt.Sprintf("%s are the first digits of several signatures", q.signature), strings.Join(found, ", ")}
	}
	report, err := journal.Report(ctx, client, q.name, group.Newest)
	if err != nil {
		return err
	}
	if report == nil {
		return fmt.Errorf("the report of %s is gone: newer ones have pushed it out of the stream", group.Signature)
	}
	if q.output == "json" {
		document := map[string]string{"id": report.ID.String(), "app": q.name, "time": stamp(report.Time()), "message": string(report.Message)}
		for i := 0; i < len(report.Fields); i += 2 {
			document[report.Fields[i]] = report.Fields[i+1]
		}
		return quiet(jsontext.WriteDocument(std.Stdout, document))
	}
	text := report.Message
	if run.IsTerminal(std.Stdout) {
		text = journal.Harmless(text)
	}
	_, err = std.Stdout.Write(append(text, '\n'))
	return quiet(err)
}

// stamp returns a time for JSON documents: RFC 3339 in UTC, with milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// writeCrashes writes {"crashes": [{…}]}.
func writeCrashes(w io.Writer, groups []journal.Crashes) error {
	type group struct {
		App       string   `json:"app"`
		Signature string   `json:"signature"`
		Kind      string   `json:"kind"`
		What      string   `json:"what"`
		Times     int      `json:"times"`
		First     string   `json:"first"`
		Last      string   `json:"last"`
		Frame     string   `json:"frame,omitempty"`
		Builds    []string `json:"builds,omitempty"`
		ID        string   `json:"id"` // of the newest report's entry
	}
	all := make([]group, 0, len(groups))
	for i := range groups {
		g := &groups[i]
		all = append(all, group{g.App, g.Signature, g.Kind, g.What, g.Times, stamp(g.First), stamp(g.Last), g.Frame, g.Builds, g.Newest.String()})
	}
	return jsontext.WriteDocument(w, map[string]any{"crashes": all})
}

// tableCrashes writes a line for each group.
func tableCrashes(w io.Writer, groups []journal.Crashes, apps bool) error {
	if len(groups) == 0 {
		_, err := fmt.Fprintln(w, "no crashes")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(app string, cells ...string) {
		if apps {
			cells = append([]string{app}, cells...)
		}
		fleet.WriteRow(table, cells...)
	}
	row("APP", "SIGNATURE", "TIMES", "FIRST", "LAST", "WHAT", "FRAME", "BUILDS")
	for i := range groups {
		g := &groups[i]
		row(g.App, g.Signature, strconv.Itoa(g.Times), g.First.Format(time.DateTime), g.Last.Format(time.DateTime), g.What, g.Frame, strings.Join(g.Builds, " "))
	}
	return table.Flush()
}
