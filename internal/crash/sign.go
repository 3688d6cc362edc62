package crash

import (
	"strings"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// signDeath returns the signature of an app's end: by a signal, or else by a traceback. frames
// are from the thread that the signal ended. If none of them is the app's own, as in an
// interpreter, the app's traceback is used instead.
func signDeath(sig syscall.Signal, b *heard, frames []signature.Frame, executable string) signature.Signature {
	own := signature.Own(frames, executable)
	if b != nil && (sig == 0 || len(own) == 0) {
		if kind, calls := b.Stack(); sig == 0 || len(calls) > 0 {
			return signature.Of(kind, calls)
		}
	}
	return signature.Of(process.SignalName(sig), own)
}

// signHang returns the signature of a hang, from the main thread: gdb calls it Thread 1.
func signHang(t *trace, executable string) signature.Signature {
	_, main, _ := strings.Cut("\n"+t.threads, "\nThread 1 ")
	main, _, _ = strings.Cut(main, "\nThread ")
	return signature.Of(string(Hang), signature.Own(signature.FromGDB(main, "", t.libraries, executable), executable))
}

// shortBuild returns the first 12 digits of what buildID returns.
func shortBuild(id string) string {
	id = strings.Trim(id, `"`)
	return id[:min(len(id), 12)]
}
