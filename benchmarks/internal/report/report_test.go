package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/report"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func result(elapsed time.Duration) trial.Result {
	return trial.Result{Messages: 100, Expected: 110, Delivered: 110, Distinct: 110, Usage: load.Usage{Elapsed: elapsed, Allocs: 1000}}
}

// outcome is a contest that ours wins by two to one.
func outcome(id string, bound rounds.Bound) rounds.Outcome {
	return rounds.Outcome{
		Contest: rounds.Contest{
			Sides:    []rounds.Side{{Peer: peer.Peer{Name: "ours"}}, {Peer: peer.Peer{Name: "theirs <1.0>"}}},
			Readings: []rounds.Reading{{ID: id, Name: "send & confirm", Metric: rounds.Rate, Bound: bound}},
		},
		Results: [][]trial.Result{{result(1000)}, {result(2000)}},
	}
}

func write(t *testing.T, r *report.Report) map[string]string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "new")
	if err := r.Write(folder); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, name := range []string{"benchmarks.json", "benchmarks.md", "benchmarks.svg"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}

func TestAReportSaysWhatIsMetAndWhatIsNot(t *testing.T) {
	t.Parallel()
	r := &report.Report{Form: "short", Rounds: 1}
	r.Rows = append(r.Rows, report.Rows("Publish", outcome("T1", rounds.Bound{AtLeast: 1.5}))...)
	r.Rows = append(r.Rows, report.Rows("Publish", outcome("T2", rounds.Bound{AtLeast: 2.5}))...)
	if targets, met := r.Count(); targets != 2 || met != 1 {
		t.Errorf("%d of %d are met", met, targets)
	}
	files := write(t, r)
	var back report.Report
	if err := json.Unmarshal([]byte(files["benchmarks.json"]), &back); err != nil {
		t.Fatal(err)
	}
	if row := back.Rows[1]; row.Ratio.Median != 2 || *row.Met || row.Peer.Delivered != 110 || row.Ours.Allocs != 10 {
		t.Errorf("the second row came back as %+v", row)
	}
	for _, want := range []string{
		"1 of 2 targets are met",
		"| T1 | send & confirm | 2.00 | 2.00 to 2.00 | at least 1.5 | yes |",
		"| T2 | send & confirm | 2.00 | 2.00 to 2.00 | at least 2.5 | **no** |",
		"110 of 110, 110 distinct",
	} {
		if !strings.Contains(files["benchmarks.md"], want) {
			t.Errorf("the page does not say %q:\n%s", want, files["benchmarks.md"])
		}
	}
}

func TestARowWithoutAFigureIsAnError(t *testing.T) {
	t.Parallel()
	lost := outcome("T1", rounds.Bound{AtLeast: 1.5})
	lost.Err = errors.New("of 400 messages 399 were delivered")
	r := &report.Report{Rows: report.Rows("Publish", outcome("T2", rounds.Bound{AtLeast: 1.5}))}
	if err := r.Err(); err != nil {
		t.Errorf("rows with figures: %v", err)
	}
	r.Rows = append(r.Rows, report.Rows("Publish", lost)...)
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "send & confirm: of 400 messages 399 were delivered") {
		t.Errorf("a row without one: %v", err)
	}
}

func TestTheChartIsWellFormedWhateverNamesHold(t *testing.T) {
	t.Parallel()
	r := &report.Report{Void: true, VoidBecause: []string{"a < b"}, Rows: report.Rows("Publish", outcome("T1", rounds.Bound{AtMost: 1.5}))}
	for decoder := xml.NewDecoder(strings.NewReader(write(t, r)["benchmarks.svg"])); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestARunIsVoidWhenADenominatorIsNotSane(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		bound rounds.Bound
		void  bool
	}{
		{"within its bounds", rounds.Bound{AtLeast: 1.1, AtMost: 2.5}, false},
		{"too fast", rounds.Bound{AtLeast: 1.1, AtMost: 1.5}, true},
		{"too slow", rounds.Bound{AtLeast: 2.1, AtMost: 2.5}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows := report.Rows("Denominators", outcome("sane", test.bound))
			r := &report.Report{Rows: rows}
			r.Judge(rows)
			files := write(t, r)
			if r.Void != test.void || strings.Contains(files["benchmarks.md"], "is void**") != test.void ||
				strings.Contains(files["benchmarks.json"], `"void": true`) != test.void {
				t.Errorf("void is %v, want %v", r.Void, test.void)
			}
		})
	}
}

func TestAContestThatFailedIsNotMet(t *testing.T) {
	t.Parallel()
	o := outcome("T1", rounds.Bound{AtLeast: 1})
	o.Err = errors.New("of 110 messages 109 were delivered")
	rows := report.Rows("Publish", o)
	if *rows[0].Met || rows[0].Ratio != nil {
		t.Errorf("the row is %+v", rows[0])
	}
	if page := write(t, &report.Report{Rows: rows})["benchmarks.md"]; !strings.Contains(page, "error: of 110 messages 109 were delivered") {
		t.Errorf("the page hides the error:\n%s", page)
	}
}
