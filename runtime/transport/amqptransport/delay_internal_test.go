package amqptransport

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// descend follows a routing key from its exchange to the foot, as the bindings of the ladder do, and adds up what the
// queues on the way wait.
func descend(t *testing.T, exchange, key string) (waited time.Duration, word string) {
	t.Helper()
	words := strings.Split(key, ".")
	n := -1
	for i := range levels {
		if levelName(i) == exchange {
			n = i
		}
	}
	if n < 0 {
		t.Fatalf("%q is no exchange of the ladder", exchange)
	}
	for ; n >= 0; n-- {
		switch {
		case len(words) <= n:
			t.Fatalf("%q has no word for level %d", key, n)
		case words[n] == "1":
			waited += time.Duration(levelArguments(n, "")["x-message-ttl"].(int32)) * time.Millisecond
		case words[n] != "0":
			t.Fatalf("word %d of %q is neither 0 nor 1", n, key)
		}
	}
	return waited, words[len(words)-1]
}

func TestEveryDelayIsRoundedUpToASecondAndNoFurther(t *testing.T) {
	t.Parallel()
	delays := []time.Duration{
		1, time.Millisecond, time.Second - 1, time.Second, time.Second + 1, 2 * time.Second, 3 * time.Second,
		7 * 24 * time.Hour, longestDelay - 1, longestDelay,
	}
	for range 1000 {
		delays = append(delays, 1+rand.N(longestDelay))
	}
	to := topicTarget("orders.Placed")
	for _, delay := range delays {
		exchange, key, err := climb(delay, to)
		if err != nil {
			t.Fatal(err)
		}
		waited, word := descend(t, exchange, key)
		if waited < delay || waited-delay >= time.Second {
			t.Errorf("a delay of %s waits %s", delay, waited)
		}
		if word != to.word() {
			t.Errorf("%q does not end in %q", key, to.word())
		}
		if strings.HasPrefix(key, strings.Repeat("0.", strings.Count(key, "."))) {
			t.Errorf("%q waits nowhere", key)
		}
	}
	if _, _, err := climb(longestDelay+1, to); !errors.Is(err, transport.ErrTooLarge) {
		t.Errorf("more than the ladder can wait: %v, want ErrTooLarge", err)
	}
}

func TestRoutingKeysFitWhateverTheTargetIsCalled(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", transport.MaxNameBytes)
	_, key, err := climb(longestDelay, queueTarget(name))
	if err != nil || len(key) > maxShortText {
		t.Errorf("a routing key of %d bytes, %v", len(key), err)
	}
	words := map[string]string{}
	for _, to := range []target{queueTarget(name), topicTarget(name), queueTarget("a"), topicTarget("a"), queueTarget("a.b"), topicTarget("1"), topicTarget("0.1")} {
		word := to.word()
		if other, taken := words[word]; taken || len(word) != 32 || strings.Contains(word, ".") {
			t.Errorf("%.20q has the word %q, as %.20q", to, word, other)
		}
		words[word] = string(to)
	}
}

func TestTheWireIsAsDocumented(t *testing.T) {
	t.Parallel()
	exchange, key, err := climb(5*time.Second, topicTarget("orders.Placed"))
	if exchange != "async.delay.2" || key != "1.0.1.56e9569c2608a4be03d9c5dd674a5fd8" || err != nil {
		t.Errorf("5 s go to %q with %q (%v), which is not the example of docs/wire.md", exchange, key, err)
	}
}
