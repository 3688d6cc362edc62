// A method of a nil pointer, beside a goroutine that sleeps.
package main

import (
	"fmt"
	"os"
	"time"
)

type box struct{ n int }

//go:noinline
func (b *box) get() int { return b.n }

func inlined(b *box) int { return b.get() + 1 }

//go:noinline
func outer(b *box) int { return inlined(b) * 2 }

func main() {
	go func() {
		for {
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(10 * time.Millisecond)
	var b *box
	if len(os.Args) > 5 {
		b = &box{}
	}
	fmt.Println(outer(b))
}
