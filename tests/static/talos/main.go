// Judges a folder as Talos does a system extension: go run . FOLDER VERSION
//
// It loads the extension with Talos's own code and validates its contents and whether it is
// compatible with that version of Talos. The error is Talos's own.
package main

import (
	"fmt"
	"os"

	"github.com/blang/semver/v4"
	"github.com/siderolabs/talos/pkg/machinery/extensions"
)

func judge(folder, version string) (*extensions.Extension, error) {
	talos, err := semver.ParseTolerant(version)
	if err != nil {
		return nil, err
	}
	extension, err := extensions.Load(folder)
	if err != nil {
		return nil, err
	}
	return extension, extension.Validate(
		extensions.WithValidateConstraints(),
		extensions.WithValidateContents(),
		extensions.WithTalosVersion(&talos),
	)
}

func main() {
	extension, err := judge(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(extension.Manifest.Metadata.Name, extension.Manifest.Metadata.Version)
}
