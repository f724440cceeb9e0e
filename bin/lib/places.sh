# Where the demo of several hosts runs: a place is a host or the switch between them, each kept by one `unshare` process.
# Nothing is written down: what runs is found among the processes, so --down finds it after any accident.
# shellcheck shell=bash

# One at a time: a step of a run that was ended by SIGKILL goes on to its end, and must not meet --down. It holds descriptor 9 too.
one_at_a_time() {
  exec 9</run
  flock -n 9 && return 0
  note 'another bin/up is at work; waiting for it'
  flock -w 120 9 || die 'another bin/up is still at work after two minutes.' 'Try again when it has ended.'
}

# Pids of the processes 1 of the places, by name: those are asked for all the time.
declare -A PLACE_PID=()

# Prints the pid of the `unshare` that keeps the place. Another machine's (a container that this one runs) is not ours.
keeper_of() {
  local pid own
  own=$(readlink /proc/self/ns/pid)
  for pid in $(pgrep -f "^unshare .*/bin/lib/demo-host\.sh $1\$"); do
    [ "$(readlink "/proc/$pid/ns/pid")" = "$own" ] && printf '%s\n' "$pid" && return 0
  done
  return 1
}

# find_place name: whether it is there and whole; without the executables that it was made with it is of no use.
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
  die "the namespaces of $1 could not be made." 'Its log is above. In a container this needs all privileges (--privileged).'
}

no_place() { ! keeper_of "$1" >/dev/null; }

# With the keeper goes process 1 of the place, and with that all other processes, mounts and links.
end_place() {
  local keeper
  unset "PLACE_PID[$1]"
  keeper=$(keeper_of "$1") || return 0
  kill -9 "$keeper" 2>/dev/null
  until_true 10 no_place "$1" || die "process $keeper, which keeps $1, does not end."
}

# on name command...: runs it there. The environment is new: variables that point at the machine's own Podman stay outside,
# and so does the lock, which whatever is started there would keep.
on() {
  local pid=${PLACE_PID[$1]:-}
  shift
  [ -n "$pid" ] || return 1
  nsenter -t "$pid" -n -m -p -u -i -r -w -- env -i HOME=/root LANG="${LANG:-C.UTF-8}" TERM="${TERM:-dumb}" \
    PATH=/run/demo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" 9>&-
}
