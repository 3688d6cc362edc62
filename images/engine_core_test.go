//go:build docker

package images

import "github.com/lpportorino/jettison-base-images/internal/coretest"

// coreFiles has the kernel, which all containers share, write cores into the app's directory
// until the end of the test.
func (b box) coreFiles() {
	b.Helper()
	restore, err := coretest.TrySet(b.T, "core.%p", "0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(restore)
}
