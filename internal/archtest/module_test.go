package archtest_test

import (
	"testing"

	"github.com/asyncpb/async/internal/archtest"
)

func TestModuleKeepsItsImportRules(t *testing.T) {
	t.Parallel()
	g, err := archtest.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if g[archtest.Module+"/runtime"] == nil {
		t.Fatalf("go list named %d packages, without runtime", len(g))
	}
	for _, violation := range archtest.Table().Check(g) {
		t.Error(violation)
	}
}
