package amqptransport

// finish decides the answer, if none was given. The caller holds the lock; the place in the window is given back with the
// answers.
func (sh *shard) finish(out *answers, s *send, err error) {
	if s.finished {
		return
	}
	s.finished = true
	out.places++
	if sh.alone > 0 {
		if s.suspect {
			sh.alone--
		}
		sh.signal()
	}
	if !s.answered {
		s.answered = true
		out.calls = append(out.calls, answer{s.done, err})
	}
}

// answers waits until no lock is held.
type answers struct {
	calls  []answer
	places int
	// again are the sends to be written once more, in their order. They go back into the outbox before the lock is
	// released.
	again []*send
}

// answer is a call of done.
type answer struct {
	done func(error)
	err  error
}

// restore puts what came back from the broker in front of everything that was handed over later. The caller holds the lock.
func (sh *shard) restore(out *answers) {
	if len(out.again) == 0 {
		return
	}
	sh.outbox.restore(out.again)
	clear(out.again)
	out.again = out.again[:0]
	sh.signal()
}

// deliver frees the places, makes the calls, and leaves out empty.
func (sh *shard) deliver(out *answers) {
	sh.t.window.give(out.places)
	for _, a := range out.calls {
		a.done(a.err)
	}
	clear(out.calls)
	out.calls, out.places = out.calls[:0], 0
}
