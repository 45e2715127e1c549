package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/internal/config"
)

func TestEveryFileOfTheManualIsOneThatLoads(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	const fence = "```yaml\n"
	count := 0
	for rest := string(page); ; count++ {
		_, after, found := strings.Cut(rest, fence)
		if !found {
			break
		}
		file, after, closed := strings.Cut(after, "```")
		if !closed {
			t.Fatal("docs/config.md: a block is not closed")
		}
		if _, err := config.Load("docs/config.md", []byte(file), func(string) (string, bool) { return "", false }); err != nil {
			t.Errorf("%v, in\n%s", err, file)
		}
		rest = after
	}
	if count == 0 {
		t.Error("docs/config.md shows no file")
	}
}

func TestTheManualNamesTheKeysThatThereAre(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "`telemetry`") {
		t.Error("docs/config.md does not name telemetry")
	}
	values := map[string]string{
		"concurrency": "1", "timeout": "1s", "codec": "protobuf", "max_message_bytes": "1", "compress_above": "0", "send_timeout": "1s", "ttl": "1s",
		"retry.immediate": "1", "retry.max_attempts": "1", "retry.min_backoff": "1s", "retry.max_backoff": "1s",
		"retry.multiplier": "1", "retry.jitter": "1", "dead_letter.disabled": "true", "dead_letter.topic": "t",
	}
	for key, value := range values {
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("docs/config.md does not name %s", key)
		}
		outer, inner, nested := strings.Cut(key, ".")
		entry := outer + ": " + value
		if nested {
			entry = outer + ": {" + inner + ": " + value + "}"
		}
		if _, err := config.Load("async.yaml", []byte("version: 1\ndefaults: {"+entry+"}\n"), os.LookupEnv); err != nil {
			t.Error(err)
		}
	}
}
