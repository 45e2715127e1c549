package async_test

import (
	"errors"
	"math"
	"testing"
	"time"

	async "github.com/asyncpb/async/runtime"
)

func TestKeysAndHeadersHaveOneTextOnEveryMachine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ got, want string }{
		"a string is itself":                             {async.FormatString("ö"), "ö"},
		"bytes are standard base64":                      {async.FormatBytes([]byte{0xfb, 0xff, 0}), "+/8A"},
		"an integer is decimal":                          {async.FormatInt(int64(math.MinInt64)), "-9223372036854775808"},
		"an unsigned integer is decimal":                 {async.FormatUint(uint64(math.MaxUint64)), "18446744073709551615"},
		"a bool is a word":                               {async.FormatBool(true), "true"},
		"a double is as short as it can be read back":    {async.FormatFloat(0.1), "0.1"},
		"a float counts as the double of the same value": {async.FormatFloat(float32(0.5)), "0.5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.got != test.want {
				t.Errorf("got %q, want %q", test.got, test.want)
			}
		})
	}
}

func TestWordsOfErrorsAndKinds(t *testing.T) {
	t.Parallel()
	cause := errors.New("no bus")
	tests := map[string]struct{ got, want string }{
		"a rejection":                     {async.Reject(cause).Error(), "rejected: no bus"},
		"a rejection without a reason":    {async.Reject(nil).Error(), "rejected: no reason given"},
		"a retry":                         {async.RetryAfter(time.Second, cause).Error(), "retry after 1s: no bus"},
		"a retry without a reason":        {async.RetryAfter(-1, nil).Error(), "retry after 0s: no reason given"},
		"a drop":                          {async.Drop("cancelled").Error(), "dropped: cancelled"},
		"a batch in which nothing failed": {(&async.BatchError{Errs: []error{nil}}).Error(), "async: batch: no failures"},
		"a code":                          {async.CodeDataLoss.String(), "data_loss"},
		"a code of a later version":       {async.Code(99).String(), "code_99"},
		"an event":                        {async.KindEvent.String(), "event"},
		"a command":                       {async.KindCommand.String(), "command"},
		"a request":                       {async.KindRequest.String(), "request"},
		"a kind of a later version":       {async.Kind(99).String(), "unknown"},
		"an error without a message":      {(&async.Error{Code: async.CodeAborted}).Error(), "aborted"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.got != test.want {
				t.Errorf("got %q, want %q", test.got, test.want)
			}
		})
	}
	if !errors.Is(async.Reject(cause), cause) || !errors.Is(async.RetryAfter(0, cause), cause) {
		t.Error("a verdict does not wrap its reason")
	}
}
