# Starts a container on each host of `bin/up --hosts`, shows what to open, and removes it all.
# shellcheck shell=bash

# Found by its name, as it outlives a killed script. The name differs from that of a demo inside a container here.
CGROUP=flatnet-demo-$(readlink /proc/self/ns/pid | tr -dc 0-9)

use_podman_of() { PODMAN=(on "h$1" podman); }

page_of() { fetch "http://$(address_of "$1"):8080/~demo$2/"; }

prepare_podman() {
  local n
  for n in $(seq "$HOSTS"); do
    use_podman_of "$n"
    "${PODMAN[@]}" image exists "$DEMO_IMAGE" ||
      step "Making the demo image on host $n from busybox" build_image || die 'the demo image could not be made.'
  done
  for n in $(seq "$HOSTS"); do
    has "$n" /run/demo/podman-starts || share_runtime
  done
}

# Finds on one host which runtime and limits start a container, and configures all hosts with them.
share_runtime() {
  local n flag runtime='' limits=''
  use_podman_of 1
  choose_runtime
  [[ "${PODMAN[*]}" != *--runtime* ]] || runtime=${PODMAN[*]: -1}
  for flag in "${RUN_FLAGS[@]}"; do [ "$flag" = --ulimit ] || limits+="\"$flag\", "; done
  RUN_FLAGS=()
  for n in $(seq "$HOSTS"); do write_podman_conf "$n" "$limits" "$runtime" && mark "$n" podman-starts; done
}

run_container_of() {
  use_podman_of "$1"
  "${PODMAN[@]}" rm -f -t 0 "demo$1"
  # shellcheck disable=SC2016
  "${PODMAN[@]}" run -d --name "demo$1" --network flatnet --cgroup-parent "/$CGROUP" "$DEMO_IMAGE" \
    /bin/sh -c 'printf "%s\n" "$0" >/www/index.html; exec /bin/httpd -f -h /www' \
    "Hello from the container on host $1, by the flat network."
}

has_page() { page_of "$1" "$2" >/dev/null 2>&1; }

start_containers() {
  local n
  for n in $(seq "$HOSTS"); do
    has_page "$n" "$n" && note "the container demo$n runs on host $n" && continue
    step "Starting the container demo$n on host $n" run_container_of "$n" ||
      die "the container demo$n did not start." "To find the cause: bin/up --on $n flatnet doctor"
  done
  for n in $(seq "$HOSTS"); do
    step "Waiting for the page of demo$n (host $n) through the gateway of host 1" until_true 20 has_page 1 "$n" ||
      die "the gateway of host 1 has no page of demo$n: $(page_of 1 "$n" | head -c 300)" \
        'To find the cause: bin/up --on 1 flatnet status' "              and: bin/up --on $n flatnet doctor"
  done
}

show_hosts() {
  local first n
  first=$(address_of 1)
  printf '\nThe hosts, and the paths of host 1:\n'
  on h1 flatnet hosts | sed 's/^/  /'
  on h1 flatnet status | sed -n '/^HOST/,$s/^/  /p'
  printf '\nThe page of the container on host %s, through the gateway of host 1:\n' "$HOSTS"
  printf '  %s\n' "$(page_of 1 "$HOSTS" | head -n 1)"
  printf '\nOpen next, in a browser on this machine:\n'
  for n in $(seq "$HOSTS" -1 1); do printf '  http://%s:8080/~demo%s/\n' "$first" "$n"; done
  printf '  http://%s:8080/   (all containers; every host from %s to %s shows them)\n' \
    "$first" "$first" "$(address_of "$HOSTS")"
  printf 'From another machine:  ssh -L 8080:%s:8080 root@THIS_MACHINE\n' "$first"
  printf '                       then open http://localhost:8080/~demo%s/\n' "$HOSTS"
  printf '\nOn a host:       bin/up --on %s podman ps\n' "$HOSTS"
  printf '                 bin/up --on 1 flatnet status\n'
  printf '                 bin/up --on 2   (a shell)\n'
  printf 'Break and heal:  bin/up --break udp 1 2, then bin/up --on 1 flatnet status, then bin/up --heal\n'
  printf 'Remove it all:   bin/up --down\n'
}

end_containers() { on "$1" sh -c 'timeout 20 podman pod rm -f -a -t 0; timeout 20 podman rm -f -a -t 0'; }

cgroups() { find /sys/fs/cgroup -depth -type d \( -name "$CGROUP" -o -path "*/$CGROUP/*" \) "$@" 2>/dev/null; }

# A cgroup without processes is removed like a folder, the innermost first.
remove_cgroups() {
  cgroups -exec rmdir {} \;
  [ -z "$(cgroups)" ]
}

# Removes also what a killed start left behind.
remove_hosts() {
  local name
  for name in $(places | grep '^h'); do
    find_place "$name" && step "Removing the containers of host ${name#h}" end_containers "$name"
    end_place "$name"
  done
  remove_lan
  note 'the hosts and their network are gone'
}
