// Only marks the root of the module: every build names the go.mod of its Kubernetes minor,
// `go build -modfile=minors/1.37.mod`. ../build.py writes those from ../pins.toml.
module kubelettest
