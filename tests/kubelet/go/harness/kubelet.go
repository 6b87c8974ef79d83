package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/kubernetes/pkg/features" // makes the kubelet's feature gates known
	"k8s.io/kubernetes/pkg/kubelet/token"
	clocktesting "k8s.io/utils/clock/testing"

	"kubelettest/plugin"
)

// kubelet holds what surrounds the plugin code in a kubelet: the clock, and where ServiceAccounts
// and their tokens come from.
type kubelet struct {
	clock *clocktesting.FakeClock

	mu              sync.Mutex
	serviceAccounts map[string]serviceAccount // by namespace/name
	tokens          map[types.UID]string      // by UID of the pod
	requests        []authenticationv1.TokenRequest
}

func newKubelet(now time.Time) *kubelet {
	return &kubelet{clock: clocktesting.NewFakeClock(now), tokens: map[types.UID]string{}}
}

// register does what the kubelet does at its start; the error is what it would end with.
func (k *kubelet) register(c command) error {
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(c.FeatureGates); err != nil {
		return err
	}
	getToken, getServiceAccount := k.givenToken, k.givenServiceAccount
	if c.Kubeconfig != "" {
		config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		getToken = token.NewManager(client).GetServiceAccountToken
		getServiceAccount = func(namespace, name string) (*v1.ServiceAccount, error) {
			return client.CoreV1().ServiceAccounts(namespace).Get(context.Background(), name, metav1.GetOptions{})
		}
	}
	recorded := func(namespace, name string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
		k.record(namespace, name, request)
		return getToken(namespace, name, request)
	}
	plugin.Clock = k.clock
	return plugin.RegisterCredentialProviderPlugins(c.Config, c.BinDir, recorded, getServiceAccount)
}

// lookup runs all pulls at once, each with a keyring of its own as the kubelet's image manager
// does, and returns their results in the same order.
func (k *kubelet) lookup(pulls []pull) []result {
	k.mu.Lock()
	for _, p := range pulls {
		k.tokens[types.UID(p.PodUID)] = p.Token
	}
	k.mu.Unlock()

	results := make([]result, len(pulls))
	start := make(chan struct{})
	var done sync.WaitGroup
	for i, p := range pulls {
		done.Add(1)
		go func() {
			defer done.Done()
			<-start
			keyring := plugin.NewExternalCredentialProviderDockerKeyring(p.Namespace, p.Pod, p.PodUID, p.ServiceAccount)
			configs, found := keyring.Lookup(p.Image)
			results[i] = result{Found: found, Credentials: []credential{}}
			for _, config := range configs {
				c := credential{Username: config.Username, Password: config.Password}
				if config.Source != nil {
					// A type of strings and pointers to such; its fields differ by minor.
					c.Source, _ = json.Marshal(config.Source)
				}
				results[i].Credentials = append(results[i].Credentials, c)
			}
		}()
	}
	close(start)
	done.Wait()
	return results
}

func (k *kubelet) setServiceAccounts(all []serviceAccount) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serviceAccounts = map[string]serviceAccount{}
	for _, s := range all {
		k.serviceAccounts[s.Namespace+"/"+s.Name] = s
	}
}

// givenServiceAccount stands in for the API server's GET, with its error for an absent one.
func (k *kubelet) givenServiceAccount(namespace, name string) (*v1.ServiceAccount, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.serviceAccounts[namespace+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
	}
	return &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.Namespace, Name: s.Name, UID: types.UID(s.UID), Annotations: s.Annotations,
	}}, nil
}

// givenToken stands in for the token manager, with the token that the test gave for the pod.
func (k *kubelet) givenToken(_, _ string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	jwt := k.tokens[request.Spec.BoundObjectRef.UID]
	if jwt == "" {
		return nil, fmt.Errorf("the test gave no token for pod UID %q", request.Spec.BoundObjectRef.UID)
	}
	answered := request.DeepCopy()
	answered.Status.Token = jwt
	return answered, nil
}

func (k *kubelet) record(namespace, name string, request *authenticationv1.TokenRequest) {
	recorded := request.DeepCopy()
	recorded.Namespace, recorded.Name = namespace, name
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, *recorded)
}

func (k *kubelet) takeTokenRequests() []authenticationv1.TokenRequest {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.requests
	k.requests = nil
	return taken
}
