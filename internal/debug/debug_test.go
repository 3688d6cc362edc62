package debug

import (
	"bytes"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

func TestBreakpoints(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("f", longestPoint)
	for _, row := range []struct{ said, want string }{
		{"", ""},
		{"$Z0,4011d6,1#aa", "0,4011d6,1"},
		{"+$Z0,4011d6,1#aa$z0,4011d6,1#bb", ""},
		{"$Z0,1,1#aa+$Z2,8,4#aa$Z0,1,1#aa", "0,1,1 2,8,4"},
		{"$Z0,1,1;X3,220100;X1,22#aa", "0,1,1"},
		{"$Z0,1,1;" + long + "#aa", "0,1,1"},
		{"$Z0,1,1;X3#aa$z0,1,1#aa", ""},
		{"$z0,1,1#aa", ""},
		{"$Z0,1,1#aa$z0,1,2#aa", "0,1,1"},
		{"$Z0,1,1", ""},              // incomplete
		{"$Z0,1$Z0,2,1#aa", "0,2,1"}, // restarted
		{"Z0,1,1#aa", ""},
		{"$Z#aa$z#aa$#00#", ""},
		{"$Z" + long + "#aa", ""},
		{"$m1,Z0,1,1#aa$vCont;c#a8\x03", ""},
		{"$X1,3:$Z0,1,1#aa", "0,1,1"},
	} {
		for _, step := range []int{1, 3, len(row.said) + 1} {
			var b breakpoints
			for said := []byte(row.said); len(said) > 0; {
				n := min(step, len(said))
				if wrote, err := b.Write(said[:n]); wrote != n || err != nil {
					t.Fatal(wrote, err)
				}
				said = said[n:]
			}
			if got := strings.Join(slices.Sorted(maps.Keys(b.set)), " "); got != row.want {
				t.Errorf("%.40q in steps of %d: %q, want %q", row.said, step, got, row.want)
			}
		}
	}
}

func FuzzBreakpoints(f *testing.F) {
	for _, seed := range []string{"$Z0,4011d6,1;X3,220100#aa$z0,4011d6,1#bb", "+$qSupported#37$Z1,1,1#00\x03$Z", "$X0,1:}\x03}\x04#00$Z4,0,8#00"} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, said []byte, at int) {
		var whole, parts breakpoints
		whole.Write(said)
		at = min(max(at, 0), len(said))
		parts.Write(said[:at])
		parts.Write(said[at:])
		if !maps.Equal(whole.set, parts.set) {
			t.Errorf("%v at once and %v cut at %d", whole.set, parts.set, at)
		}
		for point := range whole.set {
			if len(point) >= longestPoint || strings.ContainsAny(point, "$#;") {
				t.Errorf("no point: %q", point)
			}
		}
	})
}

// A dialogue is a gdbserver with prepared answers.
type dialogue struct {
	io.Reader
	heard bytes.Buffer
}

func (d *dialogue) Write(p []byte) (int, error) { return d.heard.Write(p) }

func TestRemove(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, says, heard, fails string }{
		{"at rest", "$QCp1.1#00$OK#9a", "+$qC#b4+$z0,1,1#64+", ""},
		{"with acknowledgements", "+$QC1#00+$OK#9a", "+$qC#b4+$z0,1,1#64+", ""},
		{"behind an answer and a stop", "ff#00$T05#b9$QC1#00$QC1#00$OK#9a", "+$qC#b4+$qC#b4+$z0,1,1#64+", ""},
		{"looking up symbols", "$qSymbol:6162#00$OK#9a$QC1#00$OK#9a", "+$qC#b4+$qSymbol::6162#2a+$qC#b4+$z0,1,1#64+", ""},
		{"not there", "$QC1#00$E01#a6$OK#9a", "+$qC#b4+$z0,1,1#64+$z0,2,1#65+", ""},
		{"gone", "", "+$qC#b4", "EOF"},
		{"gone in between", "$QC1#0", "+$qC#b4", "unexpected EOF"},
	} {
		d := &dialogue{Reader: strings.NewReader(row.says)}
		b := breakpoints{set: map[string]bool{"0,1,1": true}}
		if row.name == "not there" {
			b.set["0,2,1"] = true // goes all the same
		}
		err := b.remove(d)
		if got := d.heard.String(); got != row.heard {
			t.Errorf("%s: it heard %q, want %q", row.name, got, row.heard)
		}
		if got := ""; err != nil && err.Error() != row.fails || err == nil && row.fails != got {
			t.Errorf("%s: %v, want %q", row.name, err, row.fails)
		}
	}
	d := &dialogue{Reader: strings.NewReader("")}
	if err := new(breakpoints).remove(d); err != nil || d.heard.Len() > 0 {
		t.Errorf("without breakpoints: %v, %q", err, d.heard.String())
	}
}

// TestReceive wants an error for an endless packet.
func TestReceive(t *testing.T) {
	t.Parallel()
	endless := io.MultiReader(strings.NewReader("$"), endlessly('x'))
	if _, err := (&remote{&dialogue{Reader: endless}}).receive(); err == nil {
		t.Error("no error for a packet without an end")
	}
}

type endlessly byte

func (e endlessly) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestReadable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	owner := &process.User{UID: stat.Uid, GID: 77}
	group := &process.User{UID: 77, GID: stat.Gid}
	member := &process.User{UID: 77, GID: 77, Groups: []uint32{77, stat.Gid}}
	other := &process.User{UID: 77, GID: 77}
	for _, row := range []struct {
		name string
		user *process.User
		mode os.FileMode
		want bool
	}{
		{"no other user", nil, 0, true},
		{"root", &process.User{}, 0, true},
		{"owner", owner, 0o400, true},
		{"group", group, 0o040, true},
		{"group", group, 0o711, false},
		{"member", member, 0o040, true},
		{"member", member, 0o704, false},
		{"other", other, 0o004, true},
		{"other", other, 0o771, false},
	} {
		if err := os.Chmod(file, row.mode); err != nil {
			t.Fatal(err)
		}
		if got := readable(file, row.user); got != row.want {
			t.Errorf("%s, mode %o: %v", row.name, row.mode, got)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"/usr/bin/app-1.0_x+": "/usr/bin/app-1.0_x+",
		"/a b":                "'/a b'",
		"/a'$(b)":             `'/a'\''$(b)'`,
	} {
		if got := quote(word); got != want {
			t.Errorf("%q is quoted as %s, want %s", word, got, want)
		}
	}
	for address, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "[fe80::1%eth0]:1": "[fe80::1%eth0]:1",
	} {
		if got := dialled(netip.MustParseAddrPort(address)).String(); got != want {
			t.Errorf("%s is connected to as %s, want %s", address, got, want)
		}
	}
	for stderr, want := range map[string]string{
		"": "",
		"Attached; pid = 1\nRemote debugging using stdio\n":                                                         "",
		"gdbserver: linux_ptrace_attach_lwp: x\nCannot attach to process 7: Operation not permitted (1)\nExiting\n": "Cannot attach to process 7: Operation not permitted (1)",
		"gdbserver: ptrace(PTRACE_ATTACH) Operation not permitted\n":                                                "ptrace(PTRACE_ATTACH) Operation not permitted",
	} {
		if got := refusal(stderr); got != want {
			t.Errorf("refusal of %q is %q", stderr, got)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"127.0.0.1": "127.0.0.1", "::1": "::1", "::ffff:127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1"} {
		ip, err := resolve(host)
		if err != nil || ip.String() != want {
			t.Errorf("%s is %v, %v, want %s", host, ip, err, want)
		}
	}
	if _, err := resolve("no-such-host.invalid"); err == nil {
		t.Error("no-such-host.invalid has an address")
	}
}

// TestLost wants a connection to end when its other end is unreachable, with or without data
// in flight.
func TestLost(t *testing.T) {
	t.Parallel()
	d, err := Listen(Options{Host: "127.0.0.1"}) // and whatever port is free
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	client, err := net.Dial("tcp4", d.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := d.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct{ level, option, want int }{
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 10},
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 25000},
	} {
		var got int
		var err error
		if controlErr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), row.level, row.option) }); controlErr != nil {
			t.Fatal(controlErr)
		}
		if err != nil || got != row.want {
			t.Errorf("%s is %d, %v, want %d", name, got, err, row.want)
		}
	}
}

// TestNone wants a run without debugging to end like any other.
func TestNone(t *testing.T) {
	t.Parallel()
	var d *Debugger
	d.Close()
}
