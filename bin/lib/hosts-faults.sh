# Breaks traffic between two hosts of `bin/up --hosts` for `bin/up --break`, and heals it for `bin/up --heal`.
# shellcheck shell=bash

FAULT_TABLE=demo_fault
FAULT_PORT=7443

# drop_between kind a b: drops what hosts A and B send each other of this kind.
drop_between() {
  local match
  case "$1" in
    udp) match="udp dport $FAULT_PORT" ;;
    tcp) match="tcp dport $FAULT_PORT drop; ip daddr ADDRESS tcp sport $FAULT_PORT" ;;
    all) match='' ;;
    *) return 2 ;;
  esac
  drop_to "$2" "$3" "$match" && drop_to "$3" "$2" "$match"
}

drop_to() {
  local address
  address=$(address_of "$2")
  on "h$1" nft -f - <<NFT
table inet $FAULT_TABLE {
  chain out {
    type filter hook output priority -300;
    ip daddr $address ${3//ADDRESS/$address} drop;
  }
}
NFT
}

heal_host() {
  local host="h$1"
  ! on "$host" nft list table inet "$FAULT_TABLE" >/dev/null 2>&1 || on "$host" nft delete table inet "$FAULT_TABLE"
}

# Prints the numbers of the hosts that run.
running_hosts() { places | sed -n 's/^h//p'; }

break_hosts() {
  local kind=${1:-} a=${2:-} b=${3:-} n
  local usage='For example: bin/up --break udp 1 2   (or tcp, or all)'
  case "$kind" in udp | tcp | all) ;; *) die "--break takes udp, tcp or all, not \"$kind\"." "$usage" ;; esac
  [ "$a" != "$b" ] || die '--break takes two hosts.' "$usage"
  find_lan || die 'no hosts run here.' 'bin/up --hosts N makes hosts'
  for n in "$a" "$b"; do
    [[ $n =~ ^[1-$MAX_HOSTS]$ ]] && find_place "h$n" ||
      die "no host \"$n\" runs here." "These do: $(running_hosts | tr '\n' ' ')"
  done
  drop_between "$kind" "$a" "$b" || die "what hosts $a and $b send each other could not be dropped."
  case "$kind" in
    all) say "Hosts $a and $b drop everything that they send each other." ;;
    *) say "Hosts $a and $b drop what their gateways send each other over ${kind^^}." ;;
  esac
  say "Watch it:  bin/up --on $a flatnet status      Heal it:  bin/up --heal"
}

heal_hosts() {
  local n
  find_lan || die 'no hosts run here.' 'bin/up --hosts N makes hosts'
  for n in $(running_hosts); do
    find_place "h$n" && { heal_host "$n" || die "host $n could not be healed."; }
  done
  for n in $(running_hosts); do
    find_place "h$n" && on "h$n" flatnet retry >/dev/null 2>&1
  done
  say 'All hosts reach each other again, and try direct paths now.'
  say 'Watch it:  bin/up --on 1 flatnet status'
}

# direct_paths number: how many of a host's paths go straight over UDP.
direct_paths() { on "h$1" flatnet status --json | grep -Ec '"state": "P2P_ACTIVE"'; }

all_direct() {
  local n
  for n in $(seq "$HOSTS"); do [ "$(direct_paths "$n")" -eq $((HOSTS - 1)) ] || return 1; done
}

wait_for_direct() {
  step 'Waiting until all paths are direct (UDP)' until_true 20 all_direct ||
    note 'some paths go through the gateways: bin/up --on 1 flatnet status says why'
}
