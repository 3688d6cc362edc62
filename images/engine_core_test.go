//go:build docker

package images

import "github.com/lpportorino/jettison-base-images/internal/coretest"

// coreFiles sets the kernel, which containers share, to put cores where the app runs, until the
// end of the test.
func (b box) coreFiles() {
	b.Helper()
	if err := coretest.Set(b.T, "core.%p", "0"); err != nil {
		b.Fatal(err)
	}
}
