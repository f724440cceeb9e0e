# Makes the network between the hosts of `bin/up --hosts`: a switch in its own namespace, with a cable to each host and
# one to this machine.
# shellcheck shell=bash

# This machine's end. The demo changes nothing else of its network, and its firewall does not see traffic between hosts.
LAN_LINK=flatnet-lan
# Reserved for benchmarks and documentation, so no real network should use them. %: the host's number, 254 here.
LAN_NETS='198.18.0.% 198.18.100.% 198.19.200.% 192.0.2.% 203.0.113.% 198.51.100.%'
LAN=

address_of() { printf '%s\n' "${LAN/\%/$1}"; }

# Whether this machine has only default routes into the network (VPNs cut theirs in halves).
net_is_free() {
  local prefix=${1/\%/0}/24
  [ -z "$(ip -4 route show table all root "$prefix")" ] &&
    ! ip -4 route show table all match "$prefix" | grep -Evq '^(default|0\.0\.0\.0/1|128\.0\.0\.0/1) '
}

choose_lan() {
  for LAN in $LAN_NETS; do
    net_is_free "$LAN" && return 0
    note "this machine has routes into $(address_of 0)/24, trying the next"
  done
  die "all networks for the demo are in use on this machine: ${LAN_NETS//%/0/24}" \
    'Free one of them, then run this again.'
}

# Finds the network in use, if the switch is whole.
find_lan() {
  local address
  find_place lan && [ -e "/proc/${PLACE_PID[lan]}/root/run/demo/plumbed" ] || return 1
  address=$(ip -o -4 addr show dev "$LAN_LINK" 2>/dev/null | sed -n 's/.* inet \([0-9.]*\)\.254\/24 .*/\1.%/p')
  [ -n "$address" ] && LAN=$address
}

make_lan() {
  make_place lan &&
    on lan ip link add lan type bridge &&
    on lan ip link set lan up &&
    ip link add "$LAN_LINK" type veth peer name machine netns "${PLACE_PID[lan]}" &&
    on lan ip link set machine master lan up &&
    ip addr add "$(address_of 254)/24" dev "$LAN_LINK" &&
    ip link set "$LAN_LINK" up &&
    on lan touch /run/demo/plumbed
}

# plug number: makes the cable of a host.
plug() {
  nsenter -t "${PLACE_PID[lan]}" -n ip link add "h$1" type veth peer name eth0 netns "${PLACE_PID[h$1]}" && connect "$1"
}

# Works also after a cable was pulled.
connect() {
  on lan ip link set "h$1" master lan up &&
    on "h$1" ip addr replace "$(address_of "$1")/24" dev eth0 &&
    on "h$1" ip link set eth0 up
}

no_lan_link() { ! ip link show dev "$LAN_LINK" >/dev/null 2>&1; }

remove_lan() {
  end_place lan
  ip link del "$LAN_LINK" 2>/dev/null
  until_true 10 no_lan_link || die "the link $LAN_LINK does not go away." "Try by hand: ip link del $LAN_LINK"
}
