package corefile

import "path/filepath"

// Cores that an emulator writes have no list of mapped files. What the dynamic
// loader keeps for debuggers says as much: which file has which bias.

// loaded is the loader's list of files, by bias.
func (c *Core) loaded() map[uint64]string {
	names := make(map[uint64]string)
	mem := memorySource{c}
	count := c.auxv[5]                                    // AT_PHNUM
	table := at(mem, c.auxv[3], min(count, 128)*phdrSize) // AT_PHDR
	var bias, dynamic uint64
	var found bool
	for range min(count, 128) {
		p, ok := table.phdr()
		if !ok {
			break
		}
		switch p.kind {
		case ptPhdr:
			bias = c.auxv[3] - p.addr
		case ptDynamic:
			dynamic, found = p.addr, true
		}
	}
	names[bias] = c.executablePath()
	if !found {
		return names
	}
	entries := at(mem, bias+dynamic, 256*16)
	for entries.left() >= 16 {
		tag, value := entries.u64(), entries.u64()
		if tag == 0 || entries.bad {
			break
		}
		if tag != 21 { // DT_DEBUG, the address of struct r_debug
			continue
		}
		link, _ := c.word(value + 8)
		for range maxModules {
			cur := at(mem, link, 32)
			base, name := cur.u64(), cur.u64()
			cur.skip(8)
			next := cur.u64()
			if link == 0 || cur.bad {
				break
			}
			if path := textAt(mem, name, 4096); path != "" {
				names[base] = path
			}
			link = next
		}
	}
	return names
}

// executablePath is how the program was started.
func (c *Core) executablePath() string {
	if c.opt.Executable != "" {
		if path, err := filepath.Abs(c.opt.Executable); err == nil {
			return path
		}
	}
	return textAt(memorySource{c}, c.auxv[31], 4096) // AT_EXECFN
}
