# Builds the real cnitool and crictl, by the Go module proxy, in .build/<tool>/<version>; the conformance tests run them.
# shellcheck shell=bash

# Finds Go: on PATH, in the usual place for a newer one, or from Debian's golang packages.
find_go() {
  local go
  for go in "$(command -v go)" /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
    [ -x "$go" ] && printf '%s\n' "$go" && return 0
  done
  return 1
}

# need_go what-for: sets GO and the minor of its version; installs Go if there is none.
need_go() {
  GO=$(find_go) || {
    as_root && step "Installing Go (golang-go), to build $1" apt-get install -y --no-install-recommends golang-go
    GO=$(find_go) || return 1
  }
  GO_MINOR=$("$GO" env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
}

# build_tool name version package: builds .build/<name>/<version>/<name>.
build_tool() {
  local name=$1 version=$2 package=$3
  # -modcacherw: .build stays deletable. GOTOOLCHAIN=local: Go fetches no other Go. -s -w: a third less to write.
  GOBIN="$ROOT/.build/$name/$version" GOPATH="$ROOT/.build/go" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
    "$GO" install -ldflags='-s -w' "$package@$version"
}

# Never fails: without cnitool the tests are skipped, with the reason from .build/cnitool/missing.
need_cnitool() {
  local version
  mkdir -p .build/cnitool
  for version in v1.3.0 v1.1.2; do
    [ -x ".build/cnitool/$version/cnitool" ] && return 0
  done
  rm -f .build/cnitool/missing
  need_go cnitool || { echo 'no Go on this machine and none could be installed' >.build/cnitool/missing; return 0; }
  version=v1.3.0
  if [ "$GO_MINOR" -lt 21 ]; then
    version=v1.1.2
    say "Go 1.$GO_MINOR builds only cnitool $version: tests run add, check and del by it, gc and status without it."
  fi
  step "Building cnitool $version (go install)" \
    build_tool cnitool "$version" github.com/containernetworking/cni/cnitool ||
    tail -n 1 "$LOGS"/Building-cnitool*.log >.build/cnitool/missing
  return 0
}

# Never fails either. The first build takes two minutes of both cores and 60 MB of downloads; later runs keep it.
need_crictl() {
  local version=v1.37.0
  mkdir -p .build/crictl
  [ -x ".build/crictl/$version/crictl" ] && return 0
  rm -f .build/crictl/missing .build/crictl/old-go
  need_go crictl || { echo 'no Go on this machine and none could be installed' >.build/crictl/missing; return 0; }
  if [ "$GO_MINOR" -lt 26 ]; then
    say "Go 1.$GO_MINOR is too old for crictl $version, which needs 1.26: tests run containerd without pods."
    echo "Go 1.$GO_MINOR" >.build/crictl/old-go
    return 0
  fi
  step "Building crictl $version (go install), two minutes once" \
    build_tool crictl "$version" sigs.k8s.io/cri-tools/cmd/crictl ||
    tail -n 1 "$LOGS"/Building-crictl*.log >.build/crictl/missing
  return 0
}
