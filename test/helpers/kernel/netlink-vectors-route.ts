/**
 * Golden bytes of rtnetlink. iproute2 6.1.0 and Linux 6.18.44 x86_64, captured with `strace -e trace=network -e
 * write=all -e read=all`; nlmsghdr left out.
 */
import { nlmsgerrAttrs, nlmsghdr } from 'netlink-ts/message.ts'
import { addrmsg } from 'netlink-ts/route/addr.ts'
import { bridgeData } from 'netlink-ts/route/kinds.ts'
import { linkmsg } from 'netlink-ts/route/linkmsg.ts'
import { neighmsg } from 'netlink-ts/route/neigh.ts'
import { routemsg } from 'netlink-ts/route/route.ts'
import { hex, hexFile, ip, vector } from './netlink-hex.ts'

const noLink = { family: 0, type: 0, index: 0, flags: 0, change: 0 }

export const routeVectors = [
  vector({
    name: 'header of `ip link set dev v0 up` (nlmsghdr)',
    codec: nlmsghdr,
    bytes: hex('20000000 1000 0500 b9c05f65 00000000  # length 32, RTM_NEWLINK, REQUEST|ACK, seq, pid'),
    value: { length: 32, type: 16, flags: 5, seq: 0x655fc0b9, pid: 0 },
  }),
  vector({
    name: 'extended acknowledgement of a route by an unreachable gateway',
    codec: nlmsgerrAttrs,
    bytes: hex(`
      2000 0100 4e657874 686f7020 68617320 696e7661 6c696420 67617465 77617900  # NLMSGERR_ATTR_MSG
      0800 0200 1c000000                                                        # NLMSGERR_ATTR_OFFS`),
    value: { message: 'Nexthop has invalid gateway', offset: 28 },
  }),
  vector({
    name: 'ip link add name br0 mtu 1400 address 0a:00:00:00:00:01 type bridge ageing_time 3000 stp_state 0',
    codec: linkmsg,
    bytes: hex(`
      00000000 00000000 00000000 00000000 # ifinfomsg
      0800 0400 78050000                  # IFLA_MTU
      0a00 0100 0a000000 0001 0000        # IFLA_ADDRESS
      0800 0300 62723000                  # IFLA_IFNAME
      2400 1200                           # IFLA_LINKINFO
        0a00 0100 62726964 6765 0000      # IFLA_INFO_KIND
        1400 0200                         # IFLA_INFO_DATA
          0800 0400 b80b0000              # IFLA_BR_AGEING_TIME
          0800 0500 00000000              # IFLA_BR_STP_STATE`),
    value: {
      header: noLink,
      attrs: {
        mtu: 1400,
        address: hex('0a0000000001'),
        ifname: 'br0',
        linkInfo: { kind: 'bridge', data: { bridge: { ageingTime: 3000, stpState: 0 } } },
      },
    },
  }),
  vector({
    name: 'ip link add name v0 mtu 1400 address … type veth peer name eth0 mtu 1400 address … netns cap2',
    codec: linkmsg,
    bytes: hex(`
      00000000 00000000 00000000 00000000       # ifinfomsg
      0800 0400 78050000                        # IFLA_MTU
      0a00 0100 0a000000 0002 0000              # IFLA_ADDRESS
      0700 0300 763000 00                       # IFLA_IFNAME
      4c00 1200                                 # IFLA_LINKINFO
        0800 0100 76657468                      # IFLA_INFO_KIND
        4000 0200                               # IFLA_INFO_DATA
          3c00 0100                             # VETH_INFO_PEER
            00000000 00000000 00000000 00000000 # ifinfomsg
            0800 0400 78050000                  # IFLA_MTU
            0a00 0100 0a640a64 010a 0000        # IFLA_ADDRESS
            0800 1c00 04000000                  # IFLA_NET_NS_FD
            0900 0300 65746830 00 000000        # IFLA_IFNAME`),
    value: {
      header: noLink,
      attrs: {
        mtu: 1400,
        address: hex('0a0000000002'),
        ifname: 'v0',
        linkInfo: {
          kind: 'veth',
          data: {
            veth: {
              peer: {
                header: noLink,
                attrs: { mtu: 1400, address: hex('0a640a64010a'), netNsFd: 4, ifname: 'eth0' },
              },
            },
          },
        },
      },
    },
  }),
  vector({
    name: 'ip link set dev v0 up mtu 1300 master br0 alias web',
    codec: linkmsg,
    bytes: hex(`
      00000000 03000000 01000000 01000000 # ifinfomsg: index 3, IFF_UP of IFF_UP
      0800 0400 14050000                  # IFLA_MTU
      0800 0a00 02000000                  # IFLA_MASTER
      0700 1400 776562 00                 # IFLA_IFALIAS, without NUL`),
    value: {
      header: { family: 0, type: 0, index: 3, flags: 1, change: 1 },
      attrs: { mtu: 1300, master: 2, ifalias: 'web' },
    },
  }),
  vector({
    name: 'ip link set dev v0 type bridge_slave hairpin on isolated on',
    codec: linkmsg,
    bytes: hex(`
      00000000 03000000 00000000 00000000      # ifinfomsg
      2800 1200                                # IFLA_LINKINFO
        1000 0100 62726964 67655f73 6c617665   # IFLA_INFO_KIND
        1400 0500                              # IFLA_INFO_SLAVE_DATA, without a slave kind: kept as bytes
          0500 0400 01 000000                  # IFLA_BRPORT_MODE
          0500 2100 01 000000                  # IFLA_BRPORT_ISOLATED`),
    value: {
      header: { ...noLink, index: 3 },
      attrs: {
        linkInfo: {
          kind: 'bridge_slave',
          slaveData: { raw: hex('0500040001000000 0500210001000000') },
        },
      },
    },
  }),
  vector({
    name: 'ip link property add dev v0 altname third',
    codec: linkmsg,
    bytes: hex(`
      00000000 03000000 00000000 00000000 # ifinfomsg
      1000 3480                           # IFLA_PROP_LIST, nested
        0a00 3500 74686972 6400 0000      # IFLA_ALT_IFNAME`),
    value: { header: { ...noLink, index: 3 }, attrs: { propList: { altNames: ['third'] } } },
  }),
  vector({
    name: 'answer to `ip link show v0`: a bridge port with alternative names',
    codec: linkmsg,
    bytes: hexFile('link-veth.hex'),
    partial: true,
    inexact: 'unknown attributes move to the end',
    value: {
      header: { family: 0, type: 1, index: 3, flags: 0x11043, change: 0 },
      attrs: {
        ifname: 'v0',
        mtu: 1300,
        txQueueLen: 1000,
        operstate: 6,
        master: 2,
        ifalias: 'web',
        link: 2,
        linkNetnsid: 0,
        address: hex('0a0000000002'),
        propList: { altNames: ['a-very-long-alternative-name', 'other'] },
        linkInfo: {
          kind: 'veth',
          slaveKind: 'bridge',
          slaveData: { bridge: { state: 3, mode: 1, isolated: 1, learning: 1, neighSuppress: 0 } },
        },
      },
    },
  }),
  vector({
    name: 'IFLA_INFO_DATA of a bridge, from the answer to `ip -d link show br0`',
    codec: bridgeData,
    bytes: hex(`
      0800 0100 dc050000              # IFLA_BR_FORWARD_DELAY
      0800 0200 c8000000              # IFLA_BR_HELLO_TIME
      0800 0300 d0070000              # IFLA_BR_MAX_AGE
      0800 0400 b80b0000              # IFLA_BR_AGEING_TIME
      0800 0500 00000000              # IFLA_BR_STP_STATE
      0600 0600 0080 0000             # IFLA_BR_PRIORITY
      0500 0700 00 000000             # IFLA_BR_VLAN_FILTERING
      0c00 0b00 80000a00 00000001     # IFLA_BR_BRIDGE_ID
      0c00 0a00 80000a00 00000001     # IFLA_BR_ROOT_ID
      0600 0c00 0000 0000             # IFLA_BR_ROOT_PORT
      0800 0d00 00000000              # IFLA_BR_ROOT_PATH_COST
      0500 1700 01 000000             # IFLA_BR_MCAST_SNOOPING
      0c00 1e00 64000000 00000000     # IFLA_BR_MCAST_LAST_MEMBER_INTVL, unknown to us`),
    inexact: 'the kernel has the bridge id before the root id, against their numbers',
    value: {
      forwardDelay: 1500,
      helloTime: 200,
      maxAge: 2000,
      ageingTime: 3000,
      stpState: 0,
      priority: 0x8000,
      vlanFiltering: 0,
      bridgeId: hex('80000a0000000001'),
      rootId: hex('80000a0000000001'),
      rootPort: 0,
      rootPathCost: 0,
      multicastSnooping: 1,
      unknown: [{ type: 30, value: hex('6400000000000000') }],
    },
  }),
  vector({
    name: 'answer to `ip addr show dev br0`',
    codec: addrmsg,
    bytes: hex(`
      02188000 02000000                             # ifaddrmsg: AF_INET, /24, permanent, global, index 2
      0800 0100 0a010002                            # IFA_ADDRESS
      0800 0200 0a010002                            # IFA_LOCAL
      0800 0400 0a0100ff                            # IFA_BROADCAST
      0800 0300 62723000                            # IFA_LABEL
      0800 0800 80000000                            # IFA_FLAGS
      1400 0600 ffffffff ffffffff d5be0400 d5be0400 # IFA_CACHEINFO`),
    value: {
      header: { family: 2, prefixLen: 24, flags: 0x80, scope: 0, index: 2 },
      attrs: {
        address: ip('10.1.0.2'),
        local: ip('10.1.0.2'),
        broadcast: ip('10.1.0.255'),
        label: 'br0',
        flags: 0x80,
        cacheInfo: hex('ffffffff ffffffff d5be0400 d5be0400'),
      },
    },
  }),
  vector({
    name: 'ip addr add fd00:9::2/64 nodad dev br0',
    codec: addrmsg,
    bytes: hex(`
      0a400200 02000000                             # ifaddrmsg: AF_INET6, /64, IFA_F_NODAD
      1400 0200 fd000009 00000000 00000000 00000002 # IFA_LOCAL
      1400 0100 fd000009 00000000 00000000 00000002 # IFA_ADDRESS`),
    inexact: 'iproute2 has IFA_LOCAL first, the kernel IFA_ADDRESS; we follow the kernel',
    value: {
      header: { family: 10, prefixLen: 64, flags: 2, scope: 0, index: 2 },
      attrs: {
        address: hex('fd000009 00000000 00000000 00000002'),
        local: hex('fd000009 00000000 00000000 00000002'),
      },
    },
  }),
  vector({
    name: 'ip route add 10.7.0.0/16 metric 100 src 10.1.0.2 via 10.1.0.1 dev br0',
    codec: routemsg,
    bytes: hex(`
      02100000 fe030001 00000000 # rtmsg: AF_INET, /16, main, RTPROT_BOOT, universe, unicast
      0800 0100 0a070000         # RTA_DST
      0800 0600 64000000         # RTA_PRIORITY
      0800 0700 0a010002         # RTA_PREFSRC
      0800 0500 0a010001         # RTA_GATEWAY
      0800 0400 02000000         # RTA_OIF`),
    value: {
      header: {
        family: 2,
        dstLen: 16,
        srcLen: 0,
        tos: 0,
        table: 254,
        protocol: 3,
        scope: 0,
        type: 1,
        flags: 0,
      },
      attrs: {
        dst: ip('10.7.0.0'),
        priority: 100,
        prefSrc: ip('10.1.0.2'),
        gateway: ip('10.1.0.1'),
        oif: 2,
      },
    },
  }),
  vector({
    name: 'ip route add blackhole 10.8.0.0/16 table 1000',
    codec: routemsg,
    bytes: hex(`
      02100000 00030006 00000000 # rtmsg: table in the attribute, RTN_BLACKHOLE
      0800 0100 0a080000         # RTA_DST
      0800 0f00 e8030000         # RTA_TABLE`),
    inexact: 'iproute2 has RTA_TABLE last, the kernel first; we follow the kernel',
    value: {
      header: {
        family: 2,
        dstLen: 16,
        srcLen: 0,
        tos: 0,
        table: 0,
        protocol: 3,
        scope: 0,
        type: 6,
        flags: 0,
      },
      attrs: { dst: ip('10.8.0.0'), table: 1000 },
    },
  }),
  vector({
    name: 'answer to `ip route show 10.9.0.0/16`',
    codec: routemsg,
    bytes: hex(`
      02100000 fe040001 00000000 # rtmsg
      0800 0f00 fe000000         # RTA_TABLE
      0800 0100 0a090000         # RTA_DST
      0800 0600 64000000         # RTA_PRIORITY
      1400 0800                  # RTA_METRICS
        0800 0200 64050000       # RTAX_MTU
        0800 0800 3c050000       # RTAX_ADVMSS
      0800 0700 0a010002         # RTA_PREFSRC
      0800 0500 0a010001         # RTA_GATEWAY
      0800 0400 02000000         # RTA_OIF`),
    value: {
      header: {
        family: 2,
        dstLen: 16,
        srcLen: 0,
        tos: 0,
        table: 254,
        protocol: 4,
        scope: 0,
        type: 1,
        flags: 0,
      },
      attrs: {
        table: 254,
        dst: ip('10.9.0.0'),
        priority: 100,
        metrics: { mtu: 1380, advmss: 1340 },
        prefSrc: ip('10.1.0.2'),
        gateway: ip('10.1.0.1'),
        oif: 2,
      },
    },
  }),
  vector({
    name: 'answer to `ip route get 8.8.8.8`',
    codec: routemsg,
    bytes: hex(`
      02200000 fe000001 00020000 # rtmsg: RTM_F_CLONED
      0800 0f00 fe000000         # RTA_TABLE
      0800 0100 08080808         # RTA_DST
      0800 0400 02000000         # RTA_OIF
      0800 0700 0a010002         # RTA_PREFSRC
      0800 0500 0a4d0001         # RTA_GATEWAY
      0800 1900 00000000         # RTA_UID
      2400 0c00 02000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 # RTA_CACHEINFO`),
    inexact: 'the kernel has RTA_OIF first here, and last in a dump',
    value: {
      header: {
        family: 2,
        dstLen: 32,
        srcLen: 0,
        tos: 0,
        table: 254,
        protocol: 0,
        scope: 0,
        type: 1,
        flags: 0x200,
      },
      attrs: {
        table: 254,
        dst: ip('8.8.8.8'),
        oif: 2,
        prefSrc: ip('10.1.0.2'),
        gateway: ip('10.77.0.1'),
        uid: 0,
        cacheInfo: hex(`02${'00'.repeat(31)}`),
      },
    },
  }),
  vector({
    name: 'ip neigh replace 10.1.0.9 lladdr 0a:64:0a:01:00:09 dev br0 nud permanent',
    codec: neighmsg,
    bytes: hex(`
      02000000 02000000 80000000   # ndmsg: AF_INET, index 2, NUD_PERMANENT
      0800 0100 0a010009           # NDA_DST
      0a00 0200 0a640a01 0009 0000 # NDA_LLADDR`),
    value: {
      header: { family: 2, index: 2, state: 0x80, flags: 0, type: 0 },
      attrs: { dst: ip('10.1.0.9'), lladdr: hex('0a640a010009') },
    },
  }),
  vector({
    name: 'answer to `ip neigh show dev br0`',
    codec: neighmsg,
    bytes: hex(`
      02000000 02000000 80000001                    # ndmsg
      0800 0100 0a010009                            # NDA_DST
      0a00 0200 0a640a01 0009 0000                  # NDA_LLADDR
      0800 0400 00000000                            # NDA_PROBES
      1400 0300 04000000 04000000 04000000 00000000 # NDA_CACHEINFO`),
    value: {
      header: { family: 2, index: 2, state: 0x80, flags: 0, type: 1 },
      attrs: {
        dst: ip('10.1.0.9'),
        lladdr: hex('0a640a010009'),
        probes: 0,
        cacheInfo: hex('04000000 04000000 04000000 00000000'),
      },
    },
  }),
  vector({
    name: 'ip neigh show dev br0',
    codec: neighmsg,
    bytes: hex(`
      00000000 00000000 00000000 # ndmsg
      0800 0800 02000000         # NDA_IFINDEX`),
    value: { header: { family: 0, index: 0, state: 0, flags: 0, type: 0 }, attrs: { ifindex: 2 } },
  }),
]
