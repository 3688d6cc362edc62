package command

import (
	"fmt"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// acl prints the rules that running an app needs, where the configuration says
// that Redis is.
func acl(args []string, std run.Streams) error {
	const usage = "wrapp acl [--config FILE] NAME"
	cfg := config.Default()
	fs := newFlagSet("wrapp acl")
	file := fs.String("config", "", "")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *file != "" {
		var err error
		if cfg, err = config.Load(*file); err != nil {
			return err
		}
	}
	name := fs.Arg(0)
	switch {
	case fs.NArg() > 1:
		return &usageError{fmt.Sprintf("acl wants one name, and %q comes behind it", fs.Arg(1)), "flags come first: " + usage}
	case name == "" && *file != "" && cfg.CheckRun() == nil:
		name = cfg.Name()
	case name == "":
		return &usageError{"acl wants the name of an app", usage}
	}
	cfg.App.StreamName = name
	if err := cfg.Check(); err != nil {
		return err
	}
	commands, keys := "", ""
	switch {
	case cfg.Redis.Sentinel != nil:
		commands = " +role"
	case cfg.Redis.Cluster != nil:
		commands = " +cluster|slots +asking"
		keys = fmt.Sprintf(" ~wrapp-token:%s:*", name)
	}
	_, err := fmt.Fprintf(std.Stdout, "ACL SETUSER wrapp-%[1]s on >PASSWORD resetkeys resetchannels -@all +select +xadd +xinfo|stream +xrange +info +set +get +incrby +incrbyfloat +watch +multi +exec%[2]s ~logs:app:%[1]s:* ~wrapp:%[1]s:* ~wrapp-token:%[1]s%[3]s ~%[1]s:__healthpool__*\n", name, commands, keys)
	return err
}
