# Makes the hosts of `bin/up --hosts`: how many there are, which are healthy, and how to make one.
# shellcheck shell=bash

MAX_HOSTS=9
HOSTS=0

# Prints the names of all places, whole or not.
places() {
  local name
  for name in lan $(seq -f 'h%g' "$MAX_HOSTS"); do
    keeper_of "$name" >/dev/null && printf '%s\n' "$name"
  done
}

has_hosts() { [ -n "$(places)" ] || ! no_lan_link; }

# has number file: whether host N has the file.
has() { on "h$1" test -s "$2"; }

# Runs before anything is installed or built.
check_number() {
  [[ $1 =~ ^[2-$MAX_HOSTS]$ ]] || die "--hosts is \"$1\"" "A number from 2 to $MAX_HOSTS, e.g. bin/up --hosts 3"
}

choose_hosts() {
  HOSTS=$1
  local running
  running=$(places | grep -c '^h')
  [ "$running" -le "$HOSTS" ] ||
    die "$running hosts run already." "More can be added: bin/up --hosts N. For fewer: bin/up --down first"
}

mark() { date | on "h$1" tee "/run/demo/$2" >/dev/null; }

MEMBERS=/var/lib/flatnet/cluster/members.json

# Whether a host runs, is plugged in, and has neither left its cluster nor been revoked.
is_well() {
  find_place "h$1" && has "$1" /run/demo/plumbed || return 1
  ! has "$1" /run/demo/joined ||
    { has "$1" "$MEMBERS" && ! on "h$1" flatnet status --json 2>/dev/null | grep -q '"expelled": "'; }
}

# Makes missing and unhealthy hosts. Without switch or first host it makes all again: their cluster is gone.
make_hosts() {
  local n
  if ! { find_lan && is_well 1; }; then
    ! has_hosts || remove_hosts
    choose_lan
    step "Making the network $(address_of 0)/24 between the hosts" make_lan || die 'the switch could not be made.'
    find_lan || die 'the switch is gone again.'
  fi
  for n in $(seq "$HOSTS"); do
    if is_well "$n"; then
      connect "$n" && note "host $n is there" && continue
    fi
    step "Making host $n" make_host "$n" || die "host $n could not be made."
    find_place "h$n" || die "host $n is gone again."
  done
}

make_host() {
  end_place "h$1"
  # The kernel removes the rest of its cable a moment later.
  on lan ip link del "h$1" 2>/dev/null
  make_place "h$1" && plug "$1" && write_podman_conf "$1" && mark "$1" plumbed
}

# Podman's defaults may start no container here: configures a host with what worked on the first one.
write_podman_conf() {
  local limits=${2:-} runtime=${3:-}
  {
    printf '[containers]\n'
    [ -z "$limits" ] || printf 'default_ulimits = [%s]\n' "$limits"
    printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    [ -z "$runtime" ] || printf 'runtime = "%s"\n' "$runtime"
    printf '[network]\n'
    if takes_netavark_plugins; then
      printf 'netavark_plugin_dirs = ["/run/demo/plugins"]\n'
    else
      printf 'network_backend = "cni"\n'
      printf 'cni_plugin_dirs = ["/run/demo/plugins", "/usr/lib/cni", "/usr/libexec/cni"]\n'
    fi
  } | on "h$1" tee /etc/containers/containers.conf >/dev/null
}
