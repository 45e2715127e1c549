// Package console prints what the examples do for people to read: lines in columns, with colour on a terminal.
package console

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"
)

// Color is the colour of a line's first column.
type Color string

// The colours, as the terminal's own sequences.
const (
	Red    Color = "\x1b[31m"
	Green  Color = "\x1b[32m"
	Yellow Color = "\x1b[33m"
	Blue   Color = "\x1b[34m"
	Purple Color = "\x1b[35m"

	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	reset = "\x1b[0m"
)

// Console writes lines. Its methods may be called from many goroutines at once; a line is never torn.
type Console struct {
	mu      sync.Mutex
	w       io.Writer
	colored bool
	widths  []int
}

// New returns a console whose columns have at least the given widths; columns beyond them are as wide as their text. There
// is colour if w is a terminal, unless NO_COLOR is set or TERM is dumb.
func New(w io.Writer, widths ...int) *Console {
	return &Console{w: w, widths: widths, colored: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Title writes a line of its own, with an empty one around it.
func (c *Console) Title(format string, args ...any) {
	c.print("\n" + c.paint(bold, fmt.Sprintf(format, args...)) + "\n")
}

// Header writes the names of the columns.
func (c *Console) Header(cells ...string) {
	c.print(c.paint(faint, c.row(cells)))
}

// Note writes a remark.
func (c *Console) Note(format string, args ...any) {
	c.print(c.paint(faint, "  "+fmt.Sprintf(format, args...)))
}

// Line writes cells in columns, the first in color.
func (c *Console) Line(color Color, cells ...string) {
	if row := c.row(cells); len(cells) > 0 {
		end := 2 + len(cells[0])
		c.print(c.paint(string(color), row[:end]) + row[end:])
	}
}

func (c *Console) row(cells []string) string {
	var row strings.Builder
	for i, cell := range cells {
		row.WriteString("  " + cell)
		if i < len(c.widths) && i < len(cells)-1 {
			row.WriteString(strings.Repeat(" ", max(c.widths[i]-utf8.RuneCountInString(cell), 0)))
		}
	}
	return row.String()
}

func (c *Console) paint(sequence, text string) string {
	if !c.colored {
		return text
	}
	return sequence + text + reset
}

func (c *Console) print(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(c.w, line)
}
