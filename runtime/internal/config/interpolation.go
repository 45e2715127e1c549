package config

import "strings"

// interpolate replaces ${VAR} and ${VAR:-default}; the default stands for a variable that is unset or empty. $${ is a
// literal ${. What is wrong is returned as text, which holds no values.
func interpolate(raw string, env func(string) (string, bool)) (text, what, instead string) {
	var b strings.Builder
	for rest := raw; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			return b.String(), "", ""
		}
		if i > 0 && rest[i-1] == '$' {
			b.WriteString(rest[:i])
			b.WriteByte('{')
			rest = rest[i+2:]
			continue
		}
		b.WriteString(rest[:i])
		expression, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			return "", "${ is not closed", "write ${VAR} or ${VAR:-default}, or $${ for the text ${"
		}
		name, fallback, hasFallback := strings.Cut(expression, ":-")
		if !identifier(name) {
			return "", "${…} does not hold the name of an environment variable", "write ${VAR} or ${VAR:-default}, or $${ for the text ${"
		}
		value, set := env(name)
		switch {
		case hasFallback && value == "":
			value = fallback
		case !set:
			return "", "the environment variable " + name + " is not set", "set it, or write ${" + name + ":-default}"
		}
		b.WriteString(value)
		rest = after
	}
}

// identifier reports whether name is a word of letters, digits and underscores that does not start with a digit.
func identifier(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
