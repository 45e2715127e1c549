package model

import (
	"go/build/constraint"
	"slices"
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
		switch {
		case line == "":
			lines = append(lines, "//")
		case constraint.IsPlusBuild("// " + line): // the printer would make a build constraint of it
			lines = append(lines, "// "+strings.Replace(line, "+build", "`+build`", 1))
		default:
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

// documented returns the comment of something and its deprecation, both to be put behind a sentence of ours. A comment of
// something deprecated says so, in its own words if it has some.
func documented(comment protogen.Comments, marked bool) (lines, deprecated []string) {
	lines = paragraph(commentLines(comment))
	if !marked {
		return lines, nil
	}
	deprecated = []string{"//", deprecation}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "// Deprecated: ") }) {
		lines = append(lines, deprecated...)
	}
	return lines, deprecated
}
