package trial

import (
	"context"
	"os"
	"runtime/pprof"
)

type profileKey struct{}

// WithProfile has the runs of ctx write a CPU profile of what they measure to a file, without what they prepare and check.
// A run with a profile is slower than one without.
func WithProfile(ctx context.Context, path string) context.Context {
	return context.WithValue(ctx, profileKey{}, path)
}

// profile begins the profile that ctx asks for and returns what ends it.
func profile(ctx context.Context) (end func() error, err error) {
	path, wanted := ctx.Value(profileKey{}).(string)
	if !wanted {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
