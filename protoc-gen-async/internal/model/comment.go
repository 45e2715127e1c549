package model

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/compiler/protogen"
)

const deprecation = "// Deprecated: marked as deprecated in the .proto file."

// commentLines returns a comment of a .proto file as lines of a Go comment. Each begins with "// ", so that none reads
// as a directive of the compiler, and characters that Go source must not hold are replaced.
func commentLines(c protogen.Comments) []string {
	text := strings.Trim(strings.ReplaceAll(string(c), "\r\n", "\n"), "\n")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Map(printable, strings.ToValidUTF8(line, string(utf8.RuneError)))
		line = strings.TrimRightFunc(strings.TrimPrefix(line, " "), unicode.IsSpace)
		if line == "" {
			lines = append(lines, "//")
		} else {
			lines = append(lines, "// "+line)
		}
	}
	return lines
}

func printable(r rune) rune {
	switch {
	case r == '\t':
		return r
	case unicode.IsControl(r), r == '\ufeff':
		return utf8.RuneError
	default:
		return r
	}
}

// paragraph puts an empty line before a comment that follows another one; it leaves a missing one missing.
func paragraph(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	return append([]string{"//"}, lines...)
}

// deprecated returns the deprecation of something that is marked so, unless its own comment explains it already.
func deprecated(marked bool, comment []string) []string {
	if !marked {
		return nil
	}
	for _, line := range comment {
		if strings.HasPrefix(line, "// Deprecated: ") {
			return nil
		}
	}
	return []string{"//", deprecation}
}
