# The demo container, and the Podman that runs it: the machine's own where that is safe, else a private one.
# shellcheck shell=bash

DEMO=flatnet-demo
DEMO_IMAGE=localhost/flatnet-demo:1
# Beside the storage of the machine's own Podman: that file system supports overlays.
DEMO_DIR=/var/lib/containers/flatnet-demo
PODMAN=(podman)
RUN_FLAGS=()
INSTALL_FLAGS=()

private_podman() {
  PODMAN=(env "CONTAINERS_CONF=$DEMO_DIR/containers.conf" podman --root "$DEMO_DIR/storage"
    --runroot /run/flatnet-demo/run --tmpdir /run/flatnet-demo/tmp)
}

# CNI is a setting of a whole Podman: do not switch one that has containers on netavark, nor one that takes Flatnet as
# netavark's plugin.
choose_podman() {
  local backend containers
  if [ -d "$DEMO_DIR/storage" ]; then
    private_podman
    return 0
  fi
  backend=$(podman info --format '{{.Host.NetworkBackend}}' 2>/dev/null)
  [ "$backend" = cni ] && return 0
  if [ "$backend" = netavark ] && takes_netavark_plugins; then return 0; fi
  containers=$(podman ps -aq 2>/dev/null | wc -l)
  if [ "$containers" -eq 0 ]; then
    say "This Podman uses ${backend:-netavark} and has no containers: bin/up sets it to CNI, bin/up --down back."
    # shellcheck disable=SC2034 # bin/up reads it
    INSTALL_FLAGS=(--configure-podman)
    return 0
  fi
  say "This Podman uses ${backend:-netavark} and has $containers containers, so it stays as it is."
  say 'The demo runs in a Podman of its own.'
  mkdir -p "$DEMO_DIR"
  printf '[network]\nnetwork_backend = "cni"\n' >"$DEMO_DIR/containers.conf"
  private_podman
}

# For --down: finds the Podman that bin/up chose.
find_demo_podman() { [ ! -d "$DEMO_DIR" ] || private_podman; }

build_image() {
  local root
  root=$(mktemp -d) || return 1
  mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,www}
  cp "$(command -v busybox)" "$root/bin/busybox"
  busybox --list | grep -vx busybox | while read -r applet; do ln -s busybox "$root/bin/$applet"; done
  cat >"$root/www/index.html" <<'PAGE'
Hello from a container on the flat network.
<p>This page came through the Flatnet gateway of this host; nothing was installed where you read it.</p>
PAGE
  tar -C "$root" -cf - . | "${PODMAN[@]}" import -q -c 'CMD ["/bin/httpd","-f","-h","/www"]' - "$DEMO_IMAGE"
  local rc=$?
  rm -rf "$root"
  return "$rc"
}

import_image() {
  "${PODMAN[@]}" image exists "$DEMO_IMAGE" 2>/dev/null && note "the image $DEMO_IMAGE is there" && return 0
  step 'Making the demo image from busybox' build_image || die 'the demo image could not be made.'
}

starts() { "${PODMAN[@]}" run --rm --network none "${RUN_FLAGS[@]}" "$DEMO_IMAGE" /bin/true; }

# crun refuses hybrid cgroups, and a container in a sandbox may not raise its limits: tries what works.
choose_runtime() {
  # Lower than any machine allows: a container may be refused even its own hard limits (seen with RLIMIT_NPROC).
  local limits=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096)
  local reason
  reason=$(starts 2>&1) && return 0
  note "Podman's defaults start no container here: $(printf '%s' "$reason" | tail -n 1 | cut -c1-140)"
  RUN_FLAGS=("${limits[@]}")
  if ! starts >/dev/null 2>&1; then
    need_packages 'a machine on which crun starts no container' runc
    PODMAN+=(--runtime runc)
    RUN_FLAGS=()
    if ! starts >/dev/null 2>&1; then
      RUN_FLAGS=("${limits[@]}")
      reason=$(starts 2>&1) || die 'Podman starts no container on this machine.' "$(printf '%s' "$reason" | tail -n 2)"
    fi
  fi
  note "it does with: ${PODMAN[*]} run ${RUN_FLAGS[*]}"
}

demo_answers() { fetch "http://127.0.0.1:$PORT/~$DEMO/" >/dev/null; }

start_demo() {
  if "${PODMAN[@]}" container exists "$DEMO" && demo_answers; then
    note "the container $DEMO runs"
    return 0
  fi
  "${PODMAN[@]}" rm -f -t 0 "$DEMO" >/dev/null 2>&1
  step "Starting the container $DEMO" \
    "${PODMAN[@]}" run -d --name "$DEMO" --network flatnet "${RUN_FLAGS[@]}" "$DEMO_IMAGE" ||
    die 'the demo container did not start.' 'To find the cause: dist/flatnet doctor'
  step 'Waiting for its page through the gateway' until_true 20 demo_answers ||
    die 'the page does not come through the gateway.' 'To find the cause: dist/flatnet doctor'
}

# Prints this host's addresses that others on the LAN can use.
lan_addresses() {
  ip -o -4 addr show scope global | awk '
    $2 !~ /^(flatnet|podman|cni|docker|br-|veth|virbr|tailscale|wg|tun)/ { sub(/\/.*/, "", $4); print $4 }'
}

show() {
  local address
  local -a addresses
  mapfile -t addresses < <(lan_addresses)
  [ ${#addresses[@]} -gt 0 ] || addresses=(127.0.0.1)
  printf '\nThe page of the container, through the gateway:\n'
  printf '  %s\n' "$(fetch "http://127.0.0.1:$PORT/~$DEMO/" | head -n 1)"
  printf '\nOpen next, in a browser on this machine or on the LAN:\n'
  for address in "${addresses[@]}"; do
    printf '  http://%s:%s/~%s/\n' "$address" "$PORT" "$DEMO"
  done
  printf '  http://%s:%s/   (all containers)\n' "${addresses[0]}" "$PORT"
  printf '\nStart your own:  %s run -d --name web --network flatnet %sIMAGE\n' \
    "${PODMAN[*]}" "${RUN_FLAGS[*]:+${RUN_FLAGS[*]} }"
  printf 'See what runs:   flatnet ps        What is wrong: flatnet doctor\n'
  printf 'Remove it all:   bin/up --down\n'
}

remove_demo() {
  command -v podman >/dev/null || return 0
  "${PODMAN[@]}" container exists "$DEMO" 2>/dev/null &&
    step "Removing the container $DEMO" "${PODMAN[@]}" rm -f -t 0 "$DEMO"
  "${PODMAN[@]}" image exists "$DEMO_IMAGE" 2>/dev/null &&
    step 'Removing the demo image' "${PODMAN[@]}" rmi -f "$DEMO_IMAGE"
  return 0
}

remove_private_podman() {
  [ -d "$DEMO_DIR" ] || return 0
  # Podman leaves its graph root mounted on itself.
  umount "$DEMO_DIR/storage/overlay" "$DEMO_DIR/storage" 2>/dev/null
  rm -rf "$DEMO_DIR" /run/flatnet-demo
}
