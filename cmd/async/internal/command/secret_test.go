package command_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/asyncpb/async/cmd/async/internal/command"
)

func TestPasswordsAreNotPrinted(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	url := "amqp://app:" + canary + "@127.0.0.1:1/"
	file := func(text string) string { return configured(t, "version: 1\n"+text) }
	for name, args := range map[string][]string{
		"nobody listens":                        {"dead", "ls", "--topic", "a", "--group", "b", "--url", url},
		"a URL that is malformed":               {"dead", "ls", "--topic", "a", "--group", "b", "--url", "amqp://app:" + canary + "%zz@rabbit"},
		"a URL without a scheme":                {"dead", "ls", "--topic", "a", "--group", "b", "--url", "app:" + canary + "@rabbit"},
		"a URL in place of a command":           {url},
		"a URL in place of a command of dead":   {"dead", url},
		"a URL in place of a message id":        {"group", "ls", url},
		"a URL for a flag that takes none":      {"dead", "ls", "--json=" + url},
		"a URL for a number":                    {"dead", "ls", "--limit", url},
		"a URL behind a flag that is not known": {"dead", "ls", "-u" + url},
		"a password with an at sign":            {"amqp://app:" + canary + "@" + canary + "@rabbit/"},
		"a password in the configuration":       {"dead", "ls", "--topic", "a", "--group", "b", "--config", file("transport: " + url + "\n")},
		"a password in the wrong place":         {"dead", "ls", "--topic", "a", "--group", "b", "--config", file("transport: memory://\napp: " + url + "\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := command.Run(t.Context(), args, &stdout, &stderr)
			if code == 0 || stderr.Len() == 0 {
				t.Errorf("exit code %d, %q", code, stderr.String())
			}
			if text := stdout.String() + stderr.String(); strings.Contains(text, canary) {
				t.Errorf("the password is printed: %s", strings.ReplaceAll(text, canary, "…"))
			}
		})
	}
}
