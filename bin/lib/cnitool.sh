# Builds the real cnitool, by the Go module proxy, in .build/cnitool/<version>; the conformance tests run it.
# shellcheck shell=bash

# Finds Go: on PATH, in the usual place for a newer one, or from Debian's golang packages.
find_go() {
  local go
  for go in "$(command -v go)" /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
    [ -x "$go" ] && printf '%s\n' "$go" && return 0
  done
  return 1
}

install_cnitool() {
  local go=$1 version=$2
  # -modcacherw: .build stays deletable. GOTOOLCHAIN=local: Go fetches no other Go.
  GOBIN="$ROOT/.build/cnitool/$version" GOPATH="$ROOT/.build/go" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
    "$go" install "github.com/containernetworking/cni/cnitool@$version"
}

# Never fails: without cnitool the tests are skipped, with the reason from .build/cnitool/missing.
need_cnitool() {
  local go minor version
  mkdir -p .build/cnitool
  for version in v1.3.0 v1.1.2; do
    [ -x ".build/cnitool/$version/cnitool" ] && return 0
  done
  rm -f .build/cnitool/missing
  if ! go=$(find_go); then
    as_root && step 'Installing Go (golang-go), to build cnitool' apt-get install -y --no-install-recommends golang-go
    go=$(find_go) || { echo 'no Go on this machine and none could be installed' >.build/cnitool/missing; return 0; }
  fi
  minor=$("$go" env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
  version=v1.3.0
  if [ "$minor" -lt 21 ]; then
    version=v1.1.2
    say "Go 1.$minor builds only cnitool $version: tests run add, check and del by it, gc and status without it."
  fi
  step "Building cnitool $version (go install)" install_cnitool "$go" "$version" ||
    tail -n 1 "$LOGS"/Building-cnitool*.log >.build/cnitool/missing
  return 0
}
