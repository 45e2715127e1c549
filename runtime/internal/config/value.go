package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A parser reads one value. What is wrong comes as a predicate of the value ("is negative"), without the value, and
// what to write instead.
type parser[T any] func(text string) (value T, what, instead string)

const day = 24 * time.Hour

// duration reads what time.ParseDuration takes, and whole days: 7d.
func duration(text string) (d time.Duration, what, instead string) {
	const form = "write a number with a unit, such as 500ms, 30s, 5m, 2h or 7d"
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		switch {
		case err != nil:
			return 0, "is not a duration", form
		case n < 0:
			return 0, "is negative", "write 0s or more"
		case n > int64(math.MaxInt64/day):
			return 0, "is too long", fmt.Sprintf("write at most %dd", math.MaxInt64/day)
		}
		return time.Duration(n) * day, "", ""
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
		return 0, "is a duration without a unit", form
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, "is not a duration", form
	case d < 0:
		return 0, "is negative", "write 0s or more"
	}
	return d, "", ""
}

// positiveDuration is a duration above 0.
func positiveDuration(text string) (d time.Duration, what, instead string) {
	if d, what, instead = duration(text); what == "" && d == 0 {
		return 0, "is zero", "write a duration above 0"
	}
	return d, what, instead
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"B", 1},
	{"", 1},
}

// size reads a number of bytes: 1048576, 1024KiB, 1MiB, 1MB.
func size(text string) (bytes int64, what, instead string) {
	const form = "write a whole number of bytes, or one with a unit, such as 512KiB, 1MiB or 1MB"
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		switch {
		case err != nil:
			return 0, "is not a size", form
		case n < 1:
			return 0, "is not above 0", form
		case n > math.MaxInt32/unit.bytes:
			return 0, "is too large", "write less than 2GiB"
		}
		return n * unit.bytes, "", ""
	}
	return 0, "is not a size", form
}

// sizeOrZero is size, and 0.
func sizeOrZero(text string) (bytes int64, what, instead string) {
	if text == "0" {
		return 0, "", ""
	}
	return size(text)
}

func integer[T int | uint32](least, most int64) parser[T] {
	return func(text string) (value T, what, instead string) {
		form := fmt.Sprintf("write a whole number from %d to %d", least, most)
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			return 0, "is not a whole number", form
		case n < least:
			return 0, "is too small", form
		case n > most:
			return 0, "is too large", form
		}
		return T(n), "", ""
	}
}

func number(least, most float64) parser[float64] {
	return func(text string) (value float64, what, instead string) {
		form := fmt.Sprintf("write a number from %g to %g", least, most)
		if math.IsInf(most, 1) {
			form = fmt.Sprintf("write a number of at least %g", least)
		}
		n, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || math.IsNaN(n) || math.IsInf(n, 0):
			return 0, "is not a number", form
		case n < least:
			return 0, "is too small", form
		case n > most:
			return 0, "is too large", form
		}
		return n, "", ""
	}
}

func boolean(text string) (value bool, what, instead string) {
	switch text {
	case "true":
		return true, "", ""
	case "false":
		return false, "", ""
	}
	return false, "is not a boolean", "write true or false"
}

// oneOf takes one of the words.
func oneOf(words ...string) parser[string] {
	return func(text string) (value, what, instead string) {
		switch {
		case slices.Contains(words, text):
			return text, "", ""
		case len(words) == 1:
			return "", "is not known", "write " + words[0] + ", or remove the key"
		}
		return "", "is not known", "write one of " + strings.Join(words, ", ")
	}
}

// name takes what is portable across brokers.
func name(most int) parser[string] {
	return func(text string) (value, what, instead string) {
		form := fmt.Sprintf(`write up to %d letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`, most)
		switch {
		case text == "":
			return "", "is empty", form
		case len(text) > most:
			return "", "is too long", form
		case !Portable(text):
			return "", "is not portable across brokers", form
		}
		return text, "", ""
	}
}

// Portable reports whether a topic, a group or a namespace has the characters that every broker takes in a name, and takes for
// nothing else: letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row. "--" separates topic and
// group in the names of queues.
func Portable(name string) bool {
	return name != "" && !strings.Contains(name, "--") && !strings.Contains(name, "..") && strings.Trim(name, ".-") == name &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func filled(text string) (value, what, instead string) {
	if strings.TrimSpace(text) == "" {
		return "", "is empty", "write a value, or remove the key"
	}
	return text, "", ""
}
