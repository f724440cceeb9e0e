# Makes the cluster of `bin/up --hosts`: joins its hosts, starts their gateways, waits until they are linked.
# shellcheck shell=bash

# If the cluster knows the number, it belonged to a host that is gone, and the new host replaces it.
token_for() {
  local number=(--host-id "$1")
  if on h1 flatnet hosts --json | grep -Eq "\"hostId\": $1\b"; then number=(--replace "$1"); fi
  on h1 flatnet token --ttl 1h "${number[@]}"
}

# Keeps the join command with its token on the new host: after any interruption the same command goes on.
join_host() {
  local line
  if ! has "$1" /run/demo/join-line; then
    line=$(token_for "$1") || return 1
    printf '%s\n' "$line" | on "h$1" tee /run/demo/join-line
  fi
  # shellcheck disable=SC2016 # the host's shell reads it
  on "h$1" sh -c '$(cat /run/demo/join-line) --no-executables' && mark "$1" joined
}

init_cluster() { { has 1 "$MEMBERS" || on h1 flatnet init --cluster demo --no-executables; } && mark 1 joined; }

gateway_of_host_runs() {
  # Runs the same file, not an earlier build of it.
  # shellcheck disable=SC2016
  on "h$1" sh -c 'test "/proc/$(cat /run/demo/gateway.pid)/exe" -ef /run/demo/bin/flatnet' 2>/dev/null
}

host_answers() {
  fetch "http://$(address_of "$1"):8080/" >/dev/null 2>&1
  [ $? -ne 4 ]
}

run_gateway_of() {
  # shellcheck disable=SC2016
  on "h$1" sh -c '
    pid=$(cat /run/demo/gateway.pid 2>/dev/null) && kill "$pid" 2>/dev/null && timeout 10 tail --pid="$pid" -f /dev/null
    setsid flatnet gateway >>/run/demo/gateway.log 2>&1 </dev/null &
    echo $! >/run/demo/gateway.pid'
  until_true 20 host_answers "$1" && return 0
  on "h$1" tail -n 5 /run/demo/gateway.log
  return 1
}

start_gateway_of() {
  if gateway_of_host_runs "$1" && host_answers "$1"; then return 0; fi
  step "Starting the gateway of host $1" run_gateway_of "$1" || die "the gateway of host $1 does not answer."
}

# Whether every host has a link to every other.
all_linked() {
  local n
  for n in $(seq "$HOSTS"); do
    on "h$n" flatnet status --json | grep -Eq "\"linksUp\": $((HOSTS - 1))\b" || return 1
  done
}

make_cluster() {
  local n
  has 1 /run/demo/joined || step 'Making the cluster on host 1 (flatnet init)' init_cluster ||
    die 'flatnet init failed; its messages are above.'
  start_gateway_of 1
  for n in $(seq 2 "$HOSTS"); do
    has "$n" /run/demo/joined || step "Bringing host $n into it (flatnet token, flatnet join)" join_host "$n" ||
      die "host $n could not join; its messages are above." 'To start over: bin/up --down, then the same command'
    start_gateway_of "$n"
  done
  step 'Waiting until all hosts are linked' until_true 30 all_linked ||
    die 'not all hosts are linked to all others.' 'To see which are missing: bin/up --on 1 flatnet hosts'
}
