# Prints progress for people: the current step, how long it has run, and what to do when it fails.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
note() { printf '  %s\n' "$*"; }
die() {
  printf '\n%s: %s\n' "${0##*/}" "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# Folder for the logs of long steps; the caller sets it.
: "${LOGS:=${ROOT:?}/.build/logs}"

# The step that runs. A background command does not get Ctrl-C, so this script has to end it.
STEP_PID=
STEP_WHAT=
STEP_COMMAND=

# Prints a pid and those of all its descendants. Reads /proc, since pgrep may not be installed yet.
tree_of() {
  local child
  printf '%s\n' "$1"
  for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do tree_of "$child"; done
}

end_step() {
  local -a pids
  local tries=50
  [ -n "$STEP_PID" ] || return 0
  if [ "$STEP_COMMAND" = apt-get ]; then
    note 'apt-get is let go on to its end: half-installed packages would be in the way of everything else'
    wait "$STEP_PID"
    return 0
  fi
  mapfile -t pids < <(tree_of "$STEP_PID")
  kill "${pids[@]}" 2>/dev/null
  # `kill -0` of several pids succeeds while one of them is left.
  while kill -0 "${pids[@]}" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
  kill -9 "${pids[@]}" 2>/dev/null
}

# on_signal exit-code
on_signal() {
  trap '' INT TERM HUP
  end_step
  printf '\n%s: stopped%s.\n  Run it again to go on from there.\n' "${0##*/}" "${STEP_WHAT:+ at \"$STEP_WHAT\"}" >&2
  exit "$1"
}
trap 'on_signal 130' INT
trap 'on_signal 143' TERM
trap 'on_signal 129' HUP

# step "what it does" command...: writes the command's output to a log, and prints one line with what runs, for how long
# and how it ended. On a terminal the line counts seconds and shows the command's last output; elsewhere it prints a
# line every 15 s. After a failure it prints the end of the log.
step() {
  local what=$1 log pid began=$SECONDS rc=0 spoke=$SECONDS
  shift
  mkdir -p "$LOGS"
  log="$LOGS/$(printf '%s' "$what" | tr -cs 'a-zA-Z0-9' '-' | cut -c1-40 | sed 's/-$//').log"
  [ -t 1 ] || say "- $what ..."
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  STEP_PID=$pid STEP_WHAT=$what STEP_COMMAND=$1
  while kill -0 "$pid" 2>/dev/null; do
    if [ -t 1 ]; then
      printf '\r\033[K- %s (%ss) %s' "$what" "$((SECONDS - began))" \
        "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-$((${COLUMNS:-100} > 70 ? ${COLUMNS:-100} - 60 : 20)))"
    elif [ $((SECONDS - spoke)) -ge 15 ]; then
      spoke=$SECONDS
      note "still at it after $((SECONDS - began)) s: $(tail -n 1 "$log" | cut -c1-90)"
    fi
    # Returns when the command ends, at the latest after half a second.
    timeout 0.5 tail --pid="$pid" -f /dev/null 2>/dev/null || true
  done
  wait "$pid" || rc=$?
  STEP_PID='' STEP_WHAT=''
  [ -t 1 ] && printf '\r\033[K'
  if [ "$rc" -eq 0 ]; then
    say "- $what: done in $((SECONDS - began)) s"
  else
    say "- $what: FAILED (exit $rc) after $((SECONDS - began)) s. The end of $log:"
    tail -n 20 "$log" | sed 's/^/    /'
  fi
  return "$rc"
}
