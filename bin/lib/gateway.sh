# Starts and stops the gateway: under systemd if that runs, else in the background with a pid file.
# shellcheck shell=bash

GATEWAY_PID=/run/flatnet-up.pid
GATEWAY_LOG=/var/log/flatnet-gateway.log
CONFIG=/etc/flatnet/flatnet.yaml
# INSTALLED: flatnet install writes it. OWN says what bin/up made: `all`, or `demo` for only the container.
INSTALLED=/etc/flatnet/install.json
OWN=/etc/flatnet/by-bin-up

mark_own() {
  local what=all
  [ -e "$OWN" ] && return 0
  [ ! -e "$INSTALLED" ] || what=demo
  mkdir -p "${OWN%/*}" && printf '%s\n' "$what" >"$OWN"
}

has_systemd() { [ -d /run/systemd/system ]; }

# Prints the pid of the gateway that bin/up started, if that gateway still has this pid.
gateway_pid() {
  local pid
  pid=$(cat "$GATEWAY_PID" 2>/dev/null) || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q "flatnet gateway --config $CONFIG" || return 1
  printf '%s\n' "$pid"
}

stop_gateway() {
  local pid
  if pid=$(gateway_pid); then
    kill "$pid"
    # The gateway waits for requests in flight, for 5 s at most.
    timeout 10 tail --pid="$pid" -f /dev/null || kill -9 "$pid"
    note "the gateway (process $pid) has ended"
  fi
  rm -f "$GATEWAY_PID" "$GATEWAY_LOG"
}

port_is_free() { ! ss -Hltn "sport = :$1" | grep -q .; }

# Keeps the port of a present installation; else takes the first free one from 8080 on.
choose_port() {
  PORT=$(sed -n 's/^ *listen: *"\{0,1\}[^"]*:\([0-9]*\)"\{0,1\} *$/\1/p' "$CONFIG" 2>/dev/null | head -n 1)
  [ -n "$PORT" ] && return 0
  for PORT in 8080 8081 8082 8083 8084 8085 8086 8087 8088 8089; do
    port_is_free "$PORT" && break
    note "port $PORT of this host is taken, trying the next"
  done
  port_is_free "$PORT" || die 'ports 8080 to 8089 of this host are all taken.' 'Free one, then run bin/up again.'
}

gateway_answers() {
  fetch "http://127.0.0.1:$PORT/" >/dev/null 2>&1
  [ $? -ne 4 ]
}

# fetch url: prints the page; exit 1: the server answered with an error, 4: no server answered.
# Uses Node, which is here: static busybox crashes in name look-ups on some hosts, and curl may be missing.
fetch() {
  node -e '
    fetch(process.argv[1], { signal: AbortSignal.timeout(3000) })
      .then(async (page) => {
        process.stdout.write(await page.text())
        process.exitCode = page.ok ? 0 : 1
      })
      .catch(() => { process.exitCode = 4 })' "$1"
}

# until_true seconds command...: repeats the command until it succeeds, for that long at most.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    read -r -t 0.1 _ <> <(:) || true
  done
}

start_gateway() {
  if has_systemd; then
    note 'the gateway runs under systemd: journalctl -u flatnet-gateway'
  else
    stop_gateway
    setsid /usr/local/bin/flatnet gateway --config "$CONFIG" >>"$GATEWAY_LOG" 2>&1 </dev/null &
    echo $! >"$GATEWAY_PID"
    note "the gateway runs in the background (no systemd here): process $(cat "$GATEWAY_PID"), log $GATEWAY_LOG"
  fi
  step 'Waiting for the gateway' until_true 20 gateway_answers && return 0
  [ -f "$GATEWAY_LOG" ] && tail -n 5 "$GATEWAY_LOG"
  die 'the gateway does not answer.' 'To find the cause: dist/flatnet doctor'
}
