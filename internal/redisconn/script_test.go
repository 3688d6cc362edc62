package redisconn

import "testing"

func TestScriptError(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"OOM command not allowed when used memory > 'maxmemory'.":                              "OOM command not allowed when used memory > 'maxmemory'.",
		"-OOM command not allowed when used memory > 'maxmemory'.\r\n":                         "OOM command not allowed when used memory > 'maxmemory'.",
		"@user_script: 46: -OOM command not allowed when used memory > 'maxmemory'.\r\n":       "OOM command not allowed when used memory > 'maxmemory'.",
		"@user_script: 46: The user executing the script can't run this command or subcommand": "The user executing the script can't run this command or subcommand",
	} {
		if got := ScriptError(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
