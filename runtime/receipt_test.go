package async

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestReceiptTellsEveryListenerOnce(t *testing.T) {
	t.Parallel()
	r := newReceipt("id-1")
	var heard []error
	r.Then(func(err error) { heard = append(heard, err) })
	done := r.Done()
	want := errors.New("refused")
	if !r.resolve(want) || r.resolve(nil) {
		t.Fatal("only the first answer counts")
	}
	r.Then(func(err error) { heard = append(heard, err) })
	<-done
	<-r.Done()
	if len(heard) != 2 || !errors.Is(heard[0], want) || !errors.Is(heard[1], want) || !errors.Is(r.Err(), want) || r.ID() != "id-1" {
		t.Fatalf("heard %v, Err %v", heard, r.Err())
	}
}

func TestReceiptWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReceipt("id-1")
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- r.Wait(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
			t.Fatalf("Wait returned %v", err)
		}
		r.resolve(nil)
		if err := r.Wait(ctx); err != nil {
			t.Fatalf("an answer that is there wins over an ended context, got %v", err)
		}
	})
}

func TestASendLetsTheTransportHaveALastWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		spoken, silent := newReceipt("spoken"), newReceipt("silent")
		timer := time.AfterFunc(time.Second+lastWord/2, func() { spoken.resolve(ErrBlocked) })
		defer timer.Stop()
		errs := concludeAll(ctx, []*Receipt{silent, spoken, silent, silent})
		for i, want := range []error{ErrUnknown, ErrBlocked, ErrUnknown, ErrUnknown} {
			if !errors.Is(errs[i], want) {
				t.Errorf("receipt %d of the batch: %v, want %v", i, errs[i], want)
			}
		}
		if took := time.Since(start); took != time.Second+lastWord {
			t.Errorf("the batch took %v, want one last word for all", took)
		}
		over := time.Now()
		if err := silent.conclude(ctx); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a silent transport: %v", err)
		}
		if took := time.Since(over); took != lastWord {
			t.Errorf("it took %v after the end of the context, want %v", took, lastWord)
		}
		if err := spoken.conclude(ctx); !errors.Is(err, ErrBlocked) || time.Since(over) != lastWord {
			t.Errorf("an answer that is there: %v", err)
		}
	})
}

func TestKeyOrderFailsWhatCameAfterAFailure(t *testing.T) {
	t.Parallel()
	var k keyOrder
	a, b, c, other := newReceipt("a"), newReceipt("b"), newReceipt("c"), newReceipt("other")
	k.add("k", a)
	k.add("k", b)
	k.add("k", c)
	k.add("l", other)
	k.resolve("k", a, nil)
	k.resolve("k", b, ErrNacked)
	k.resolve("k", c, nil)
	k.resolve("l", other, nil)
	if a.Err() != nil || other.Err() != nil {
		t.Errorf("earlier messages and other keys stand: %v, %v", a.Err(), other.Err())
	}
	if !errors.Is(b.Err(), ErrNacked) {
		t.Errorf("the failed one has its own error, got %v", b.Err())
	}
	if !errors.Is(c.Err(), ErrUnknown) || !errors.Is(c.Err(), ErrNacked) {
		t.Errorf("the later one fails as unknown, with the cause, got %v", c.Err())
	}
	if len(k.open) != 0 {
		t.Errorf("%d keys are left", len(k.open))
	}
}
