package docs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// reasons are the accepted reasons not to run a page's commands. An HTML comment on the line before
// their block has one: <!-- not run: REASON; MORE -->.
var reasons = []string{
	"needs a container engine",
	"needs systemd",
	"needs a published release or image",
	"needs another machine",
	"needs a dialog",
	"changes a setting of the whole machine",
	"builds and tests the whole repository",
	"takes minutes or hours",
}

const (
	notRun       = "not run: "
	example      = "the output is an example"
	inRepository = "in the repository"
	untilCtrlC   = "until Ctrl-C"
)

// TestCommands runs the commands of README.md and docs unchanged, in the order of the page, and
// compares their output with the page's, except numbers, times and blanks.
func TestCommands(t *testing.T) {
	t.Parallel()
	unshare := namespaces(t)
	tools(t)
	left := make(map[string]int)
	ran := 0
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "examples/") {
			continue // the package examples tests them
		}
		blocks, _ := readPage(t, page)
		var todo []block
		for _, b := range blocks {
			commands := b.commands()
			if why, ok := strings.CutPrefix(b.comment, notRun); ok {
				why, _, _ = strings.Cut(why, ";")
				if !slices.Contains(reasons, why) {
					t.Errorf("%s:%d: %q is no reason", page, b.line, why)
				}
				left[why] += len(commands)
				continue
			}
			if b.info == "console" && len(commands) == 0 {
				t.Errorf("%s:%d: a console without a command", page, b.line)
			}
			ran += len(commands)
			if b.file() != "" || len(commands) > 0 {
				todo = append(todo, b)
			}
		}
		if !slices.ContainsFunc(todo, func(b block) bool { return b.info == "console" }) {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			m := start(t, unshare, page)
			for _, b := range todo {
				m.block(b)
			}
		})
	}
	t.Logf("%d commands are run as they stand", ran)
	for _, why := range reasons {
		t.Logf("%d commands are not run: %s", left[why], why)
	}
	if ran < 40 {
		t.Error("most commands were not found")
	}
}

// bin is the directory of the tools; build fills it.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = os.MkdirTemp("", "jettison-docs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(bin)
	os.Exit(status)
}

// build builds the tools, once for all tests. It uses the flags of the pages' builds, so that
// those find compiled packages.
var build = sync.OnceValue(func() error {
	for name, of := range map[string]string{"wrapp": "./cmd/jettison", "jettison_panel": "./cmd/jettison_panel"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", filepath.Join(bin, name), of)
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return errors.Join(os.Symlink("wrapp", filepath.Join(bin, "jettison_health")), os.Chmod(bin, 0o755))
})

// tools returns the path of wrapp; the other tools are beside it.
func tools(t *testing.T) (wrapp string) {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin, "wrapp")
}

// A machine runs the commands of one page (testdata/world.sh).
type machine struct {
	*testing.T
	page     string
	commands io.Writer
	out      *os.File
	answers  *bufio.Reader // of out
	dir      string        // current directory of the commands
}

const (
	home     = "/mnt/home"
	patience = 5 * time.Minute // for one command
)

// starts are the pages that begin with an empty Redis; before the others, apps have run.
var starts = []string{"README.md", "docs/start.md", "docs/tasks.md", "docs/health.md", "docs/restarts.md"}

// namespaces returns a command that runs another one in new namespaces, as root in them.
func namespaces(t *testing.T) []string {
	t.Helper()
	command := []string{"unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"}
	ways := [][]string{command}
	if os.Geteuid() != 0 {
		ways = [][]string{append(slices.Clone(command), "--map-root-user"), append([]string{"sudo", "-n"}, command...)}
	}
	for _, way := range ways {
		if exec.Command(way[0], append(way[1:len(way):len(way)], "true")...).Run() == nil {
			return way
		}
	}
	t.Skip("this user may not create the namespaces for the commands")
	return nil
}

func start(t *testing.T, unshare []string, page string) *machine {
	t.Helper()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	in, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	past := "yes"
	if slices.Contains(starts, page) {
		past = "no"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	args := slices.Concat(unshare, []string{"env", "-i", "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TERM=dumb"})
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOTOOLCHAIN", "GOFLAGS"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, name+"="+strings.TrimSpace(string(value)))
	}
	args = append(args, "bash", filepath.Join(repository, "docs/testdata/world.sh"), bin, repository, past)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = to
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	err = cmd.Start()
	in.Close() // the machine has its own copies
	to.Close()
	if err != nil {
		t.Fatal(err)
	}
	out.SetReadDeadline(time.Now().Add(patience))
	t.Cleanup(func() { commands.Close(); cancel(); cmd.Wait(); out.Close() })
	m := &machine{T: t, page: page, commands: commands, out: out, answers: bufio.NewReader(out), dir: home}
	if _, word, err := m.answer(); err != nil || word != "ready" {
		commands.Close()
		cmd.Wait()
		t.Fatalf("no machine for the page: %v, %q, %s", err, word, &wrong)
	}
	return m
}

// answer returns the output up to the next status, and the status.
func (m *machine) answer() (output, status string, err error) {
	output, err = m.answers.ReadString(0)
	if err == nil {
		status, err = m.answers.ReadString(0)
	}
	return strings.TrimSuffix(output, "\x00"), strings.TrimSuffix(status, "\x00"), err
}

func (m *machine) send(letter, text string) {
	m.Helper()
	m.out.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(m.commands, letter+text+"\x00"); err != nil {
		m.Fatal(err)
	}
}

// do runs a command to its end.
func (m *machine) do(letter, text string) (output string, status int) {
	m.Helper()
	m.send(letter, text)
	output, word, err := m.answer()
	if err == nil {
		status, err = strconv.Atoi(word)
	}
	if err != nil {
		m.Fatalf("%s: %q: %v\n%s", m.page, text, err, output)
	}
	return output, status
}

// block writes the block's file, or runs its commands.
func (m *machine) block(b block) {
	m.Helper()
	dir := home
	if b.comment == inRepository {
		dir = "/mnt/repository"
	}
	if dir != m.dir {
		m.do("d", dir)
		m.dir = dir
	}
	if file := b.file(); file != "" {
		if _, status := m.do("r", "cat >"+file+" <<'END OF THE FILE'\n"+b.text+"END OF THE FILE\n"); status != 0 {
			m.Fatalf("%s:%d: %s was not written", m.page, b.line, file)
		}
		return
	}
	commands := b.commands()
	for i, c := range commands {
		if strings.Contains(b.comment, example) {
			c.output = nil
		}
		statusShown := i+1 < len(commands) && commands[i+1].text == "echo $?"
		m.command(c, statusShown)
	}
}

// reads matches commands that a person repeats if they show the result too early.
var reads = regexp.MustCompile(`^(wrapp (logs|ls|crashes) |jettison_health |redis-cli |wrapp ls$)`)

// command runs a command. statusShown says that the page shows its exit status next.
func (m *machine) command(c command, statusShown bool) {
	m.Helper()
	at := fmt.Sprintf("%s:%d: %s", m.page, c.line, c.text)
	if strings.Contains(c.text, untilCtrlC) {
		m.send("f", c.text)
		output := m.follow(at, c.output)
		m.send("s", "")
		rest, word, err := m.answer()
		if err != nil || word != "0" && word != "130" {
			m.Fatalf("%s\nended with %q, %v:\n%s", at, word, err, output+rest)
		}
		return
	}
	output, status := m.do("r", c.text)
	good := func() bool { return (status == 0 || statusShown) && lacks(output, c.output) == "" }
	for until := time.Now().Add(patience / 3); !good() && reads.MatchString(c.text) && time.Now().Before(until); {
		time.Sleep(100 * time.Millisecond)
		output, status = m.do("r", c.text)
	}
	m.Logf("%s\n%s", at, output)
	switch {
	case status != 0 && !statusShown:
		m.Fatalf("%s\nended with %d:\n%s", at, status, output)
	case lacks(output, c.output) != "":
		m.Errorf("%s\ndid not print %q, but\n%s", at, lacks(output, c.output), output)
	}
}

// follow reads a command's output until it has what the page shows. If the page shows nothing, it
// reads a line that is not wrapp's own, so that the app runs and what it starts with has ended: a
// shell that starts a program may miss a Ctrl-C.
func (m *machine) follow(at string, want []string) (output string) {
	m.Helper()
	for {
		line, err := m.answers.ReadString('\n')
		output += line
		if err != nil || strings.ContainsRune(line, 0) {
			m.Fatalf("%s\ndid not print %q: %v\n%s", at, lacks(output, want), err, output)
		}
		if lacks(output, want) == "" && (len(want) > 0 || !strings.HasPrefix(line, "wrapp: ")) {
			return output
		}
	}
}

// Parts of lines that differ from run to run.
var (
	hexadecimal = regexp.MustCompile(`\b[0-9a-f]{8,40}\b`)
	duration    = regexp.MustCompile(`\b[0-9][0-9.]*(ns|µs|ms|s|m|h)([0-9.]+(ms|s|m))*\b`)
	number      = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

	exit = regexp.MustCompile(`(exit status |_exit_|\bended )[0-9]+|^[0-9]$`) // an exit status does not differ
)

// shape normalises a line: it joins blanks and replaces numbers other than an exit status.
func shape(line string) string {
	line = exit.ReplaceAllStringFunc(line, func(status string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r - '0' + 'A'
			}
			return r
		}, status)
	})
	line = duration.ReplaceAllString(hexadecimal.ReplaceAllString(line, "9"), "9")
	return strings.Join(strings.Fields(number.ReplaceAllString(line, "9")), " ")
}

// lacks returns the first line of want that output does not have in this order, or "". In want, …
// stands for any text.
func lacks(output string, want []string) string {
	got := strings.Split(output, "\n")
	for _, line := range want {
		if strings.TrimSpace(line) == "" {
			continue
		}
		form := regexp.MustCompile("^" + strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(shape(line)), "…", ".*"), `\.\.\.`, ".*") + "$")
		i := slices.IndexFunc(got, func(l string) bool { return form.MatchString(shape(l)) })
		if i < 0 {
			return line
		}
		got = got[i+1:]
	}
	return ""
}

// TestConfigurations has wrapp check every configuration on the pages, and parses all other JSON.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	wrapp := tools(t)
	checked := 0
	for _, page := range pages(t) {
		blocks, _ := readPage(t, page)
		for _, b := range blocks {
			of := page + ":" + strconv.Itoa(b.line)
			wrapps := b.info == "toml" && !strings.Contains(b.text, "[boards.")
			if b.info == "json" {
				var keys map[string]any
				if err := json.Unmarshal([]byte(b.text), &keys); err != nil {
					t.Errorf("%s: %v", of, err)
				}
				wrapps = keys["app"] != nil && keys["redis"] != nil
			}
			if !wrapps {
				continue
			}
			checked++
			file := filepath.Join(t.TempDir(), "block."+b.info)
			if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(wrapp, "check", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", of, err, out)
			}
		}
	}
	if t.Logf("%d configurations", checked); checked < 10 {
		t.Error("most configurations were not found")
	}
}
