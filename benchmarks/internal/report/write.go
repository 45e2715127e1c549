package report

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// DataName is the file that holds a report for programs.
const DataName = "benchmarks.json"

// Write writes benchmarks.json, benchmarks.md and benchmarks.svg into a folder, which it makes if need be.
func (r *Report) Write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		DataName: append(data, '\n'), "benchmarks.md": []byte(r.page()), "benchmarks.svg": []byte(r.chart()),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
