package report

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Machine is where and with what a run was made.
type Machine struct {
	System   string            `json:"system"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Memory   string            `json:"memory,omitempty"`
	Go       string            `json:"go"`
	Broker   string            `json:"broker"`
	Versions map[string]string `json:"versions"`
}

// NewMachine looks around. What the system does not tell stays empty.
func NewMachine(broker string) Machine {
	m := Machine{
		System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), Broker: broker,
		CPU: field("/proc/cpuinfo", "model name"), Memory: memory(), Versions: make(map[string]string),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			switch dep.Path {
			case "github.com/rabbitmq/amqp091-go", "github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-amqp/v3",
				"google.golang.org/protobuf", "go.opentelemetry.io/otel":
				m.Versions[dep.Path] = dep.Version
			}
		}
	}
	return m
}

// memory is what the machine has, in GiB.
func memory() string {
	text, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	kilobytes, err := strconv.Atoi(text)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.0f GiB", float64(kilobytes)/(1<<20))
}

// field returns the first value of a key in a file of "key: value" lines.
func field(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
