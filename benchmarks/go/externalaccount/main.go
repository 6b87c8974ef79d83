// The same exchange by Google's own Go library, golang.org/x/oauth2/google/externalaccount, as a
// provider in Go would use it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2/google/externalaccount"
)

const defaultRegistries = "*-docker.pkg.dev,gcr.io,us.gcr.io,eu.gcr.io,asia.gcr.io"

type request struct {
	Image string `json:"image"`
	Token string `json:"serviceAccountToken"`
}

type credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type response struct {
	Kind          string                `json:"kind"`
	APIVersion    string                `json:"apiVersion"`
	CacheKeyType  string                `json:"cacheKeyType"`
	CacheDuration string                `json:"cacheDuration"`
	Auth          map[string]credential `json:"auth"`
}

// supplier hands the library the token that the kubelet sent.
type supplier string

func (token supplier) SubjectToken(
	context.Context, externalaccount.SupplierOptions,
) (string, error) {
	return string(token), nil
}

func run() error {
	var asked request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	source, err := externalaccount.NewTokenSource(context.Background(), externalaccount.Config{
		Audience:             os.Getenv("GCP_AUDIENCE"),
		SubjectTokenType:     "urn:ietf:params:oauth:token-type:jwt",
		TokenURL:             os.Getenv("GCP_STS_ENDPOINT") + "/v1/token",
		Scopes:               []string{"https://www.googleapis.com/auth/cloud-platform"},
		SubjectTokenSupplier: supplier(asked.Token),
	})
	if err != nil {
		return err
	}
	token, err := source.Token()
	if err != nil {
		return err
	}
	auth := map[string]credential{}
	for _, pattern := range strings.Split(defaultRegistries, ",") {
		auth[pattern] = credential{Username: "oauth2accesstoken", Password: token.AccessToken}
	}
	seconds := int(time.Until(token.Expiry).Seconds()) - 600
	return json.NewEncoder(os.Stdout).Encode(response{
		Kind:          "CredentialProviderResponse",
		APIVersion:    "credentialprovider.kubelet.k8s.io/v1",
		CacheKeyType:  "Global",
		CacheDuration: strconv.Itoa(seconds) + "s",
		Auth:          auth,
	})
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "externalaccount:", err)
		os.Exit(1)
	}
}
