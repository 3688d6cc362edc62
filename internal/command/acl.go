package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

const aclUsage = "wrapp acl [--config FILE] NAME\nwrapp acl [--config FILE] --panel"

func aclCommand(std run.Streams) *cobra.Command {
	var file string
	var panel bool
	c := &cobra.Command{
		Use:     "acl [FLAGS] NAME",
		Short:   "Print the least Redis ACL rules that running NAME needs.",
		Example: aclUsage,
		RunE:    func(_ *cobra.Command, args []string) error { return acl(file, panel, args, std) },
	}
	c.Flags().BoolVar(&panel, "panel", false, "the rules for jettison_panel instead, which reads only")
	c.Flags().StringVar(&file, "config", "", "`FILE` of wrapp (TOML or JSON) that says where Redis is, and NAME if it is left out")
	return c
}

// acl prints the rules that running an app needs, for the Redis that the configuration
// names.
func acl(file string, panel bool, args []string, std run.Streams) error {
	cfg := config.Default()
	if file != "" {
		var err error
		if cfg, err = config.Load(file); err != nil {
			return err
		}
	}
	name := ""
	switch {
	case panel && len(args) > 0:
		return &usageError{"acl --panel is about all apps: name none", aclUsage}
	case panel:
		name = "panel"
	case len(args) > 1:
		return &usageError{"acl takes one name only", aclUsage}
	case len(args) == 1:
		name = args[0]
	case file != "" && cfg.CheckRun() == nil:
		name = cfg.Name()
	default:
		return &usageError{"acl wants the name of an app", aclUsage}
	}
	cfg.App.StreamName = name
	if err := cfg.Check(); err != nil {
		return err
	}
	more, position := "", "{wrapp:"+name+"}" // position: how the keys of the values' positions begin
	switch {
	case cfg.Redis.Sentinel != nil:
		more = " +role"
	case cfg.Redis.Cluster != nil:
		more, position = " +cluster|slots +asking", "{wrapp:"+name+":*}"
	}
	if panel {
		_, err := fmt.Fprintf(std.Stdout, "ACL SETUSER jettison-panel on >PASSWORD resetkeys -@all +hello +select +scan +get +mget +hgetall +xrange +xrevrange +xread%s"+
			" ~logs:app:* ~wrapp:* ~wrapp-run:* ~*:__healthpool__*\n", more)
		return err
	}
	_, err := fmt.Fprintf(std.Stdout, "ACL SETUSER wrapp-%[1]s on >PASSWORD resetkeys -@all +hello +select +eval +evalsha +xadd +xinfo|stream +set +get +incrby +incrbyfloat +hset +pexpire +hget +pttl +xrevrange%[2]s"+
		" ~logs:app:%[1]s:* ~{logs:app:%[1]s:*}:wrapp:* ~wrapp:%[1]s:* ~%[3]s:wrapp:* ~%[1]s:__healthpool__* ~wrapp-run:%[1]s:*\n", name, more, position)
	return err
}
