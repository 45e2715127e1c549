package trial

// party is a producer or a consumer of a trial.
type party interface {
	// running says whether it has not ended, and ended is closed when it has.
	running() bool
	ended() <-chan struct{}
	// failure is why it ended, if it should not have, and words the end of what it said; only after its end.
	failure() error
	words() string
	// kill ends it without a warning.
	kill() error
	// finish asks it to end and waits until it has.
	finish() error
	// memory is how many bytes of its process are in main memory, and 0 where the system does not say.
	memory() int64
	// testify has it tell what each of its goroutines is at, where it says what it has to say, and ends it.
	testify()
}
