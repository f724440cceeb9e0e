# Makes, finds and ends places: the hosts of the demo and the switch between them, each kept by one `unshare` process.
# Keeps no records: it looks among the processes for what runs, so --down finds all of it after any accident.
# shellcheck shell=bash

# One bin/up at a time. After a SIGKILL its last step goes on and still holds descriptor 9, so --down waits for it.
one_at_a_time() {
  exec 9</run
  flock -n 9 && return 0
  note 'another bin/up is at work; waiting for it'
  flock -w 120 9 || die 'another bin/up is still at work after two minutes.' 'Try again when it has ended.'
}

# Pids of the places' processes 1, by name: every command needs them.
declare -A PLACE_PID=()

# Prints the pid of the `unshare` that keeps the place. Ignores those inside containers of this machine.
keeper_of() {
  local pid own
  own=$(readlink /proc/self/ns/pid)
  for pid in $(pgrep -f "^unshare .*/bin/lib/demo-host\.sh $1\$"); do
    [ "$(readlink "/proc/$pid/ns/pid")" = "$own" ] && printf '%s\n' "$pid" && return 0
  done
  return 1
}

# find_place name: whether the place runs and is whole. Without its executables it is useless.
find_place() {
  local keeper demo
  keeper=$(keeper_of "$1") && PLACE_PID[$1]=$(pgrep -P "$keeper") || return 1
  demo=/proc/${PLACE_PID[$1]}/root/run/demo
  [ -e "$demo/ready" ] && [ -x "$demo/bin/flatnet" ]
}

make_place() {
  (
    cd "$ROOT/dist" && exec setsid unshare --net --mount --pid --uts --ipc --fork --kill-child --mount-proc \
      bash "$ROOT/bin/lib/demo-host.sh" "$1"
  ) >"$LOGS/$1.log" 2>&1 </dev/null 9>&- &
  until_true 10 find_place "$1" && return 0
  tail -n 3 "$LOGS/$1.log"
  die "the namespaces of $1 could not be made." \
    'Its log is above. In a container this needs all privileges (--privileged).'
}

no_place() { ! keeper_of "$1" >/dev/null; }

# The end of the keeper ends process 1 of the place, and with it all other processes, mounts and links.
end_place() {
  local keeper
  unset "PLACE_PID[$1]"
  keeper=$(keeper_of "$1") || return 0
  kill -9 "$keeper" 2>/dev/null
  until_true 10 no_place "$1" || die "process $keeper, which keeps $1, does not end."
}

# on name command...: runs the command in the place, with a new environment: variables may point at the machine's own
# Podman. The lock stays outside too, as a process that goes on there would hold it.
on() {
  local pid=${PLACE_PID[$1]:-}
  shift
  [ -n "$pid" ] || return 1
  nsenter -t "$pid" -n -m -p -u -i -r -w -- env -i HOME=/root LANG="${LANG:-C.UTF-8}" TERM="${TERM:-dumb}" \
    PATH=/run/demo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" 9>&-
}
