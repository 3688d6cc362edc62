// App is an app in the scratch image: it uses everything in the image besides wrapp, prints the
// result, and exits with 7. Its argument is a time zone that must be known, one hour from UTC in
// 1970.
package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/user"
	"syscall"
	"time"
)

func main() {
	if err := check(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("{{__healthpool__work_beats}}all there")
	os.Exit(7)
}

func check() error {
	me, err := user.Current()
	if err != nil || me.Username != "archer" || me.HomeDir != "/home/archer" {
		return fmt.Errorf("user %+v: %w", me, err)
	}
	if len(os.Args) > 1 {
		zone, err := time.LoadLocation(os.Args[1])
		if err != nil {
			return err
		}
		if _, offset := time.Unix(0, 0).In(zone).Zone(); offset != 3600 {
			return fmt.Errorf("%s was %d s from UTC", zone, offset)
		}
	}
	pool, err := x509.SystemCertPool()
	if err != nil || pool.Equal(x509.NewCertPool()) {
		return fmt.Errorf("no certificates: %w", err)
	}
	if err := os.WriteFile("/tmp/x", nil, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile("/home/archer/x", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("the root is not read-only: %v", err)
	}
	return nil
}
