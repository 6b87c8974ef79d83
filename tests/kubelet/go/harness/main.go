// Command harness is a kubelet reduced to what happens before an image is pulled: it registers
// credential provider plugins, gets ServiceAccount tokens, execs the plugins and caches their
// answers, all with the kubelet's own code, and does so when a test says so.
//
// It reads one JSON command a line on stdin and answers each with one JSON line on stdout; it
// ends with its stdin. The kubelet keeps its plugins in package variables and registers them once,
// so a process serves one scenario.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/component-base/version"
)

// command is a line of stdin. Op says which of the other fields count.
type command struct {
	Op string `json:"op"`

	// register: start the kubelet's part with a CredentialProviderConfig.
	Config       string          `json:"config"`
	BinDir       string          `json:"binDir"`
	FeatureGates map[string]bool `json:"featureGates"`
	// Kubeconfig, where given, brings ServiceAccounts and tokens from an API server, through the
	// kubelet's token manager; otherwise the commands serviceAccounts and lookup bring them.
	Kubeconfig string `json:"kubeconfig"`

	// serviceAccounts: all that exist from now on.
	ServiceAccounts []serviceAccount `json:"serviceAccounts"`

	// lookup: pulls that start at the same moment.
	Pulls []pull `json:"pulls"`

	// advance: move the clock of the credential cache.
	Seconds float64 `json:"seconds"`
}

// serviceAccount is what the kubelet reads of a ServiceAccount.
type serviceAccount struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Annotations map[string]string `json:"annotations"`
}

// pull is one image of one pod. Token is the answer to the pod's TokenRequest; without one the
// request fails.
type pull struct {
	Image          string `json:"image"`
	Namespace      string `json:"namespace"`
	Pod            string `json:"pod"`
	PodUID         string `json:"podUID"`
	ServiceAccount string `json:"serviceAccount"`
	Token          string `json:"token"`
}

// answer is a line of stdout. Execs and ExecErrors are the kubelet's metrics, cumulative, by
// plugin. Log holds the klog lines since the answer before.
type answer struct {
	Version       string                          `json:"version"`
	Error         string                          `json:"error,omitempty"`
	Results       []result                        `json:"results,omitempty"`
	Execs         map[string]uint64               `json:"execs"`
	ExecErrors    map[string]uint64               `json:"execErrors"`
	TokenRequests []authenticationv1.TokenRequest `json:"tokenRequests,omitempty"`
	Log           []string                        `json:"log,omitempty"`
}

// result is what the keyring has for one pull, best match first.
type result struct {
	Found       bool         `json:"found"`
	Credentials []credential `json:"credentials"`
}

type credential struct {
	Username string          `json:"username"`
	Password string          `json:"password"`
	Source   json.RawMessage `json:"source,omitempty"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		os.Exit(1)
	}
}

// serve answers commands until the input ends. An error is a fault of the driver; what the
// kubelet refuses is an answer with an Error.
func serve(in io.Reader, out io.Writer) error {
	commands := json.NewDecoder(in)
	commands.DisallowUnknownFields()
	answers := json.NewEncoder(out)
	log, err := captureLog()
	if err != nil {
		return err
	}
	k := newKubelet(time.Now())
	for {
		var c command
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("command: %w", err)
		}
		a := answer{Version: version.Get().GitVersion}
		switch c.Op {
		case "register":
			if err := k.register(c); err != nil {
				a.Error = err.Error()
			}
		case "serviceAccounts":
			k.setServiceAccounts(c.ServiceAccounts)
		case "lookup":
			a.Results = k.lookup(c.Pulls)
		case "advance":
			k.clock.Step(time.Duration(c.Seconds * float64(time.Second)))
		default:
			return fmt.Errorf("command: unknown op %q", c.Op)
		}
		a.TokenRequests = k.takeTokenRequests()
		a.Log = log.take()
		if a.Execs, a.ExecErrors, err = execCounts(); err != nil {
			return err
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}
