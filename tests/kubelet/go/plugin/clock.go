// Package plugin is the kubelet's own credential provider code,
// k8s.io/kubernetes/pkg/credentialprovider/plugin of the pinned minor, with a clock that can be
// set. Only this file is kept here: ../../build.py lays the kubelet's files beside it with
// `go build -overlay`, where one line, the choice of the clock, reads Clock instead.
package plugin

import "k8s.io/utils/clock"

// Clock tells the cache of credentials what time it is. Set it before
// RegisterCredentialProviderPlugins: a provider keeps the clock that it was made with.
var Clock clock.Clock = clock.RealClock{}
