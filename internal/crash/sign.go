package crash

import (
	"strings"
	"syscall"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
	"github.com/lpportorino/jettison-base-images/internal/crash/traceback"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// signDeath returns the signature of an app's end. frames are from the thread that a signal
// ended. If none of them is the app's own, as in an interpreter, the app's traceback is used
// instead.
func signDeath(sig syscall.Signal, b *Block, frames []signature.Frame, executable string) signature.Signature {
	own := signature.Own(frames, executable)
	switch {
	case b != nil && (sig == 0 || len(own) == 0 && b.framed()):
		return b.sign()
	case sig == 0:
		return signature.Of(string(Traceback), nil)
	}
	return signature.Of(process.SignalName(sig), own)
}

// sign returns the signature of a traceback.
func (b *Block) sign() signature.Signature {
	kind, frames := traceback.Stack(b.Language, b.heading(), b.Text)
	return signature.Of(kind, frames)
}

// heading returns the title without the language.
func (b *Block) heading() string { return strings.TrimPrefix(b.Title, b.Language+": ") }

// framed says whether a traceback has frames.
func (b *Block) framed() bool {
	_, frames := traceback.Stack(b.Language, b.heading(), b.Text)
	return len(frames) > 0
}

// signHang returns the signature of a hang, from the main thread: gdb calls it Thread 1.
func signHang(t *trace, executable string) signature.Signature {
	_, main, _ := strings.Cut("\n"+t.threads, "\nThread 1 ")
	main, _, _ = strings.Cut(main, "\nThread ")
	return signature.Of(string(Hang), signature.Own(signature.FromGDB(main, "", t.libraries, executable), executable))
}

// shortBuild returns the first 12 digits of an executable's build ID; empty if it has none.
func shortBuild(executable string) string {
	id := buildID(executable)
	id = strings.Trim(id, `"`)
	return id[:min(len(id), 12)]
}
