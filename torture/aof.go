package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A history passes on the commands of an append-only file.
type history struct {
	// executed is called for each command that a server executed for clients. A
	// transaction whose end is not in the file does not count: no client got an answer.
	executed func(args []string) error

	// replayed is called for each command that the next server executes when it reads the
	// file. Redis and Valkey 8 may cut a file behind a whole command in the middle of a
	// transaction. The commands before the cut are then executed with the next transaction.
	replayed func(args []string) error

	torn int // XADD commands of transactions without an end
}

// read reads an append-only file to its end. restarts are the file's sizes when servers began
// to write to it.
func (h *history) read(file string, restarts []int64) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := commandReader{r: bufio.NewReaderSize(f, 1<<20)}
	var (
		within       bool       // in a transaction that began after the last restart
		open         bool       // in a transaction as a server sees it that reads the file
		block, queue [][]string // commands of these transactions
	)
	tear := func() {
		for _, args := range block {
			if args[0] == "XADD" {
				h.torn++
			}
		}
		within, block = false, nil
	}
	for {
		for len(restarts) > 0 && r.offset >= restarts[0] {
			tear()
			restarts = restarts[1:]
		}
		args, err := r.next()
		if err == io.EOF {
			tear()
			return nil
		}
		if err != nil {
			return fmt.Errorf("the append-only file at %d: %w", r.offset, err)
		}
		switch args[0] {
		case "MULTI":
			if within {
				return fmt.Errorf("the append-only file at %d: MULTI within a transaction", r.offset)
			}
			within, open = true, true
		case "EXEC":
			if !within {
				return fmt.Errorf("the append-only file at %d: EXEC without MULTI", r.offset)
			}
			err = errors.Join(each(block, h.executed), each(queue, h.replayed))
			within, open, block, queue = false, false, nil, nil
		default:
			if within {
				block = append(block, args)
			} else {
				err = h.executed(args)
			}
			if open {
				queue = append(queue, args)
			} else {
				err = errors.Join(err, h.replayed(args))
			}
		}
		if err != nil {
			return err
		}
	}
}

func each(commands [][]string, f func(args []string) error) error {
	for _, args := range commands {
		if err := f(args); err != nil {
			return err
		}
	}
	return nil
}

// A commandReader reads commands as Redis writes them.
type commandReader struct {
	r      *bufio.Reader
	offset int64
}

func (c *commandReader) next() ([]string, error) {
	for {
		next, err := c.r.Peek(1)
		if err != nil {
			return nil, err
		}
		if next[0] != '#' {
			break
		}
		remark, _ := c.r.ReadString('\n')
		c.offset += int64(len(remark))
	}
	n, err := c.number('*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := c.number('$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(c.r, text); err != nil {
			return nil, noEnd(err)
		}
		c.offset += int64(len(text))
		args[i] = string(text[:size])
	}
	if n == 0 {
		return nil, errors.New("a command of no words")
	}
	args[0] = strings.ToUpper(args[0])
	return args, nil
}

func (c *commandReader) number(kind byte) (n int, err error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return 0, noEnd(err)
	}
	c.offset += int64(len(line))
	if len(line) < 4 || line[0] != kind {
		return 0, fmt.Errorf("%q where a %c should be", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// noEnd turns an io.EOF within a command into io.ErrUnexpectedEOF.
func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// file returns the name of the server's append-only file. The server never rewrites it.
func (s *server) file() (string, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("the append-only file: %q, %v", files, err)
	}
	return files[0], nil
}

// began records the size of the append-only file. No client may write before that.
func (s *server) began() error {
	file, err := s.file()
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	// Redis may have cut off more than the last server wrote.
	for n := len(s.restarts); n > 0 && s.restarts[n-1] > info.Size(); n-- {
		s.restarts = s.restarts[:n-1]
	}
	s.restarts = append(s.restarts, info.Size())
	return nil
}
