package doctest

import (
	"regexp"
	"slices"
	"strings"
)

// Block is a fenced block of code of a page.
type Block struct {
	// Language is the word after the fence; Line is the number of its first line of code.
	Language string
	Line     int
	Text     string
}

// Blocks returns the blocks of code of a page.
func Blocks(page string) []Block {
	var blocks []Block
	var open *Block
	number := 0
	for line := range strings.Lines(page) {
		number++
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &Block{Language: fence, Line: number + 1}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line
		}
	}
	return blocks
}

// Excerpt reports whether text stands in source, line by line, if need be indented as a whole.
func Excerpt(text, source string) bool {
	want, have := dedent(text), strings.Split(source, "\n")
	for i := 0; i+len(want) <= len(have); i++ {
		if slices.Equal(want, dedent(strings.Join(have[i:i+len(want)], "\n"))) {
			return true
		}
	}
	return false
}

// dedent returns the lines of text without the indentation that all of them share.
func dedent(text string) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	shared, known := "", false
	for _, line := range lines {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !known || strings.HasPrefix(shared, indent) {
			shared, known = indent, true
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(strings.TrimPrefix(lines[i], shared), " \t")
	}
	return lines
}

var link = regexp.MustCompile(`\]\(([^)\s#]+)(#[^)\s]*)?\)`)

// Links returns the targets of the links and pictures of a page that lead into this repository.
func Links(page string) []string {
	var targets []string
	for _, found := range link.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(found[1], "://") {
			targets = append(targets, found[1])
		}
	}
	return targets
}
