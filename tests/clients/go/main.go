// A judge of the emulator: golang.org/x/oauth2 gets a token with a credential file.
//
// usage: judge CREDENTIALS; the token goes to stdout, an error to stderr with exit status 1.
package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/oauth2/google"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	document, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	credentials, err := google.CredentialsFromJSONWithType(
		ctx, document, google.ExternalAccount, "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return err
	}
	token, err := credentials.TokenSource.Token()
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n%s\n", token.AccessToken, token.Expiry.UTC().Format("2006-01-02T15:04:05Z"))
	return err
}
