package main

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// logBuffer collects what the kubelet's code logs.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// captureLog sends all of klog into a buffer. Verbosity 5 shows why a plugin was passed over
// ("Service account name is empty", a required annotation that is missing).
func captureLog() (*logBuffer, error) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL",
		"one_output": "true", "v": "5",
	} {
		if err := flags.Set(name, value); err != nil {
			return nil, fmt.Errorf("klog: -%s: %w", name, err)
		}
	}
	b := &logBuffer{}
	klog.SetOutput(b)
	return b, nil
}

// Write takes what klog writes.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// take returns the lines so far and forgets them.
func (b *logBuffer) take() []string {
	klog.Flush()
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.TrimSuffix(b.text.String(), "\n")
	b.text.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// execCounts reads the kubelet's metrics, by plugin: how often it was run, and how often that
// failed (non-zero exit or out of time). The counter got its suffix _total in 1.34.
func execCounts() (execs, failed map[string]uint64, err error) {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		return nil, nil, fmt.Errorf("metrics: %w", err)
	}
	execs, failed = map[string]uint64{}, map[string]uint64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			switch family.GetName() {
			case "kubelet_credential_provider_plugin_duration":
				execs[pluginName(metric)] = metric.GetHistogram().GetSampleCount()
			case "kubelet_credential_provider_plugin_errors", "kubelet_credential_provider_plugin_errors_total":
				failed[pluginName(metric)] = uint64(metric.GetCounter().GetValue())
			}
		}
	}
	return execs, failed, nil
}

func pluginName(metric *dto.Metric) string {
	for _, label := range metric.GetLabel() {
		if label.GetName() == "plugin_name" {
			return label.GetValue()
		}
	}
	return ""
}
