package panel

import (
	"cmp"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/command"
	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/eventlog"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const usage = `jettison_panel [--redis URL]... [--config FILE]... [FLAGS]`

const more = `FILE has a table [boards.NAME] for each board, with the keys of wrapp's [redis]; or it is a
file of wrapp. The panel reads only: wrapp acl --panel prints a Redis user that can no more.`

// Main is the jettison_panel command. args are without the command's own name; the result is
// the exit status.
func Main(args []string, std run.Streams) int { return command.Execute(Command(std), args, std) }

// Command returns the command line.
func Command(std run.Streams) *cobra.Command {
	o := Options{}
	var urls, files []string
	var showVersion bool
	c := &cobra.Command{
		Use: "jettison_panel", Short: "jettison_panel shows in a browser what apps say, how they feel and what they died of.",
		Example: usage, Long: more,
	}
	fs := c.Flags()
	fs.StringArrayVar(&urls, "redis", nil, "`URL` of a board's Redis: redis://, rediss:// or unix://; may be repeated; without it and --config, $REDIS_URL")
	fs.StringArrayVar(&files, "config", nil, "`FILE` with boards (TOML or JSON); may be repeated")
	fs.StringVar(&o.Listen, "listen", "127.0.0.1:8420", "`HOST:PORT` to serve on; beyond this machine only with --token-file")
	fs.StringArrayVar(&o.Hosts, "host", nil, "`NAME` that browsers know this machine by, besides its own and IP addresses; may be repeated")
	fs.Var(command.File(func(name string) { o.TokenFile = name }), "token-file", "`FILE` whose first line is the token that is asked for")
	fs.Var(command.File(func(name string) { o.CertFile = name }), "cert", "`FILE` with the certificate for TLS, PEM")
	fs.Var(command.File(func(name string) { o.KeyFile = name }), "key", "`FILE` with its key, PEM")
	fs.BoolVar(&showVersion, "version", false, "say which build this is")
	c.RunE = func(_ *cobra.Command, args []string) (err error) {
		if showVersion {
			_, err := fmt.Fprintln(std.Stdout, command.VersionOf("jettison_panel"))
			return err
		}
		if len(args) > 0 {
			return fmt.Errorf("jettison_panel takes flags only, no other arguments: see jettison_panel --help")
		}
		if o.Boards, err = boardsOf(urls, files, os.Getenv); err != nil {
			return err
		}
		o.Log = eventlog.New(std.Stderr, "jettison_panel", false)
		s, err := New(o)
		if err != nil {
			return err
		}
		if host, _, _ := net.SplitHostPort(o.Listen); o.TokenFile != "" && o.CertFile == "" && !isLoopback(host) {
			o.Log.Warn("the token and the logs go over the network as they are; --cert and --key encrypt them")
		}
		return s.Run(command.UntilSignal(), func(url string) { o.Log.Info("the panel is at " + url) })
	}
	return c
}

// boardsOf returns the boards that files and flags name. REDIS_URL is one if there is no other,
// and the address of those that state none.
func boardsOf(urls, files []string, getenv func(string) string) (boards []config.Board, err error) {
	for _, file := range files {
		some, err := config.LoadBoards(file)
		if err != nil {
			return nil, err
		}
		boards = append(boards, some...)
	}
	for _, url := range urls {
		c := config.Default()
		if err := c.Redis.SetURL(url); err != nil {
			return nil, err
		}
		boards = append(boards, config.Board{Redis: c.Redis})
	}
	if len(boards) == 0 && getenv("REDIS_URL") != "" {
		boards = []config.Board{{Redis: config.Default().Redis}}
	}
	for i := range boards {
		b := &boards[i]
		if err := b.Redis.UseEnvironment(getenv); err != nil {
			return nil, err
		}
		b.Name = cmp.Or(b.Name, b.Redis.Where())
	}
	return boards, nil
}
