// A method of a nil pointer, inlined twice.
package main

import "os"

type box struct{ n int }

func (b *box) get() int { return b.n }

func inlined(b *box) int {
	return b.get() + 1
}

//go:noinline
func outer(b *box) int {
	return inlined(b) * 2
}

func main() {
	var b *box
	if len(os.Args) > 5 {
		b = &box{}
	}
	println(outer(b))
}
