// Package acceptance_test holds what the project promises its users, against a real RabbitMQ and through generated code.
// The broker is ASYNC_TEST_AMQP_URL, by default the one at 127.0.0.1:5672; without one every test fails.
package acceptance_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests; or, when a test has started this binary again with an assignment, that assignment.
func TestMain(m *testing.M) {
	if text := os.Getenv(assignmentVariable); text != "" {
		os.Exit(carryOut(text))
	}
	goleak.VerifyTestMain(m)
}
