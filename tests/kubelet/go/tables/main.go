// Command tables prints what Kubernetes and Go make of given texts, for tests of code that has
// to agree with them. It reads one JSON document on stdin and writes one on stdout.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"k8s.io/component-base/version"
	"k8s.io/kubernetes/pkg/credentialprovider"
)

// questions are pairs of a pattern and an image, and texts of durations.
type questions struct {
	Images    [][2]string `json:"images"`
	Durations []string    `json:"durations"`
}

// answers stand in the order of the questions; nil where Kubernetes or Go reports an error, whose
// words change between releases.
type answers struct {
	Kubernetes string `json:"kubernetes"`
	// Images: whether the kubelet says that the image matches the pattern.
	Images []any `json:"images"`
	// Durations: nanoseconds.
	Durations []any `json:"durations"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

func run() error {
	var asked questions
	in := json.NewDecoder(os.Stdin)
	in.DisallowUnknownFields()
	if err := in.Decode(&asked); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	told := answers{Kubernetes: version.Get().GitVersion}
	for _, pair := range asked.Images {
		matched, err := credentialprovider.URLsMatchStr(pair[0], pair[1])
		told.Images = append(told.Images, valueOrNil(matched, err))
	}
	for _, text := range asked.Durations {
		duration, err := time.ParseDuration(text)
		told.Durations = append(told.Durations, valueOrNil(duration.Nanoseconds(), err))
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

func valueOrNil(value any, err error) any {
	if err != nil {
		return nil
	}
	return value
}
