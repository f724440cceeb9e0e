/**
 * Golden bytes of nfnetlink. nft 1.0.6, conntrack 1.4.7 and Linux 6.18.44 x86_64, captured with `strace -e
 * trace=network -e write=all -e read=all`; nlmsghdr left out.
 */
import { conntrackmsg } from 'netlink-ts/netfilter/conntrack.ts'
import { counterobjmsg } from 'netlink-ts/netfilter/counter.ts'
import { nfgenmsg } from 'netlink-ts/netfilter/nfnetlink.ts'
import { setelemmsg, setmsg } from 'netlink-ts/netfilter/set.ts'
import { tablemsg } from 'netlink-ts/netfilter/table.ts'
import { hex, ip, vector } from './netlink-hex.ts'

const inet = { family: 1, version: 0, resId: 0 }

export const netfilterVectors = [
  vector({
    name: 'nfgenmsg of NFNL_MSG_BATCH_BEGIN for nftables',
    codec: nfgenmsg,
    bytes: hex('00 00 000a'),
    value: { family: 0, version: 0, resId: 10 },
  }),
  vector({
    name: 'nft delete table inet flatnet',
    codec: tablemsg,
    bytes: hex(`
      01000000                    # nfgenmsg
      0c00 0100 666c6174 6e657400 # NFTA_TABLE_NAME`),
    value: { header: inet, attrs: { name: 'flatnet' } },
  }),
  vector({
    name: 'answer to `nft list map inet flatnet published`: the table, with comment "v1"',
    codec: tablemsg,
    bytes: hex(`
      01000005                     # nfgenmsg: generation 5
      0c00 0100 666c6174 6e657400  # NFTA_TABLE_NAME
      0800 0300 00000005           # NFTA_TABLE_USE
      0c00 0400 00000000 00000001  # NFTA_TABLE_HANDLE
      0800 0200 00000000           # NFTA_TABLE_FLAGS
      0900 0600 00037631 00 000000 # NFTA_TABLE_USERDATA`),
    value: {
      header: { ...inet, resId: 5 },
      attrs: { name: 'flatnet', use: 5, handle: 1n, flags: 0, userdata: hex('00 03 763100') },
    },
  }),
  vector({
    name: 'answer to `nft list counters table inet flatnet`: 5 packets of 300 bytes',
    codec: counterobjmsg,
    inexact: 'the kernel does not mark nested attributes',
    bytes: hex(`
      01000002                                                # nfgenmsg: generation 2
      0c00 0100 666c6174 6e657400                             # NFTA_OBJ_TABLE
      1300 0200 666f7265 69676e5f 736f7572 63650000           # NFTA_OBJ_NAME
      0800 0300 00000001                                      # NFTA_OBJ_TYPE: NFT_OBJECT_COUNTER
      0c00 0600 00000000 00000001                             # NFTA_OBJ_HANDLE
      0800 0500 00000000                                      # NFTA_OBJ_USE
      1c00 0400                                               # NFTA_OBJ_DATA
        0c00 0100 00000000 0000012c                           # NFTA_COUNTER_BYTES
        0c00 0200 00000000 00000005                           # NFTA_COUNTER_PACKETS`),
    value: {
      header: { ...inet, resId: 2 },
      attrs: {
        table: 'flatnet',
        name: 'foreign_source',
        type: 1,
        handle: 1n,
        use: 0,
        data: { bytes: 300n, packets: 5n },
      },
    },
  }),
  vector({
    name: 'answer to `nft list map inet flatnet published`: protocol, address, port to address, port',
    codec: setmsg,
    bytes: hex(`
      01000005                                                # nfgenmsg
      0c00 0100 666c6174 6e657400                             # NFTA_SET_TABLE
      0e00 0200 7075626c 69736865 6400 0000                   # NFTA_SET_NAME
      0c00 1000 00000000 00000001                             # NFTA_SET_HANDLE
      0800 0300 00000008                                      # NFTA_SET_FLAGS
      0800 0400 0000c1cd                                      # NFTA_SET_KEY_TYPE
      0800 0500 0000000c                                      # NFTA_SET_KEY_LEN
      0800 0600 000001cd                                      # NFTA_SET_DATA_TYPE
      0800 0700 00000008                                      # NFTA_SET_DATA_LEN
      0c00 0d00 0706706f 72747300                             # NFTA_SET_USERDATA, shortened to the comment
      0400 0900                                               # NFTA_SET_DESC
      1700 1300 30786666 66666666 66663832 35303766 343000 00 # 19, new and unknown to us: a name of the backend
      0800 1400 00000001                                      # 20, new and unknown to us: the number of elements`),
    value: {
      header: { ...inet, resId: 5 },
      attrs: {
        table: 'flatnet',
        name: 'published',
        handle: 1n,
        flags: 8,
        keyType: 0xc1cd,
        keyLen: 12,
        dataType: 0x1cd,
        dataLen: 8,
        userdata: hex('07 06 706f72747300'),
        desc: hex(''),
        unknown: [
          { type: 19, value: hex('30786666 66666666 66663832 35303766 343000') },
          { type: 20, value: hex('00000001') },
        ],
      },
    },
  }),
  vector({
    name: 'nft add element inet flatnet published { tcp . 0.0.0.0 . 8080 comment "web" : 10.100.1.10 . 80 }',
    codec: setelemmsg,
    bytes: hex(`
      01000000                                   # nfgenmsg
      0c00 0100 666c6174 6e657400                # NFTA_SET_ELEM_LIST_TABLE
      0e00 0200 7075626c 69736865 6400 0000      # NFTA_SET_ELEM_LIST_SET
      0800 0400 00000001                         # NFTA_SET_ELEM_LIST_SET_ID
      3800 0380                                  # NFTA_SET_ELEM_LIST_ELEMENTS
        3400 0180                                # NFTA_LIST_ELEM
          1400 0180                              # NFTA_SET_ELEM_KEY
            1000 0100 06000000 00000000 1f900000 # NFTA_DATA_VALUE
          1000 0280                              # NFTA_SET_ELEM_DATA
            0c00 0100 0a64010a 00500000          # NFTA_DATA_VALUE
          0a00 0600 00047765 6200 0000           # NFTA_SET_ELEM_USERDATA`),
    value: {
      header: inet,
      attrs: {
        table: 'flatnet',
        set: 'published',
        setId: 1,
        elements: [
          {
            key: { value: hex('06000000 00000000 1f900000') },
            data: { value: hex('0a64010a 00500000') },
            userdata: hex('00 04 77656200'),
          },
        ],
      },
    },
  }),
  vector({
    name: 'nft add element inet flatnet concatint { 10.0.0.0/8 . 80-90 : 1.1.1.1 }',
    codec: setelemmsg,
    bytes: hex(`
      01000000                              # nfgenmsg
      0c00 0100 666c6174 6e657400           # NFTA_SET_ELEM_LIST_TABLE
      0e00 0200 636f6e63 6174696e 7400 0000 # NFTA_SET_ELEM_LIST_SET
      0800 0400 00000005                    # NFTA_SET_ELEM_LIST_SET_ID
      3400 0380                             # NFTA_SET_ELEM_LIST_ELEMENTS
        3000 0180                           # NFTA_LIST_ELEM
          1000 0180                         # NFTA_SET_ELEM_KEY
            0c00 0100 0a000000 00500000     # NFTA_DATA_VALUE
          1000 0a80                         # NFTA_SET_ELEM_KEY_END
            0c00 0100 0affffff 005a0000     # NFTA_DATA_VALUE
          0c00 0280                         # NFTA_SET_ELEM_DATA
            0800 0100 01010101              # NFTA_DATA_VALUE`),
    value: {
      header: inet,
      attrs: {
        table: 'flatnet',
        set: 'concatint',
        setId: 5,
        elements: [
          {
            key: { value: hex('0a000000 00500000') },
            keyEnd: { value: hex('0affffff 005a0000') },
            data: { value: ip('1.1.1.1') },
          },
        ],
      },
    },
  }),
  vector({
    name: 'answer to `nft list set inet flatnet slices`, which holds 10.100.2.0/24',
    codec: setelemmsg,
    bytes: hex(`
      01000005                     # nfgenmsg
      0c00 0100 666c6174 6e657400  # NFTA_SET_ELEM_LIST_TABLE
      0b00 0200 736c6963 657300 00 # NFTA_SET_ELEM_LIST_SET
      4400 0300                    # NFTA_SET_ELEM_LIST_ELEMENTS
        1800 0100                  # NFTA_LIST_ELEM
          0c00 0100                # NFTA_SET_ELEM_KEY
            0800 0100 0a640300     # NFTA_DATA_VALUE
          0800 0300 00000001       # NFTA_SET_ELEM_FLAGS: NFT_SET_ELEM_INTERVAL_END
        1000 0100                  # NFTA_LIST_ELEM
          0c00 0100                # NFTA_SET_ELEM_KEY
            0800 0100 0a640200     # NFTA_DATA_VALUE
        1800 0100                  # NFTA_LIST_ELEM
          0c00 0100                # NFTA_SET_ELEM_KEY
            0800 0100 00000000     # NFTA_DATA_VALUE
          0800 0300 00000001       # NFTA_SET_ELEM_FLAGS`),
    inexact: 'the kernel answers without NLA_F_NESTED, requests carry it',
    value: {
      header: { ...inet, resId: 5 },
      attrs: {
        table: 'flatnet',
        set: 'slices',
        elements: [
          { key: { value: ip('10.100.3.0') }, flags: 1 },
          { key: { value: ip('10.100.2.0') } },
          { key: { value: ip('0.0.0.0') }, flags: 1 },
        ],
      },
    },
  }),
  vector({
    name: 'answer to `conntrack -L`: a UDP connection to port 53 that was redirected',
    codec: conntrackmsg,
    bytes: hex(`
      02000000                     # nfgenmsg
      3400 0180                    # CTA_TUPLE_ORIG
        1400 0180                  # CTA_TUPLE_IP
          0800 0100 0a000001       # CTA_IP_V4_SRC
          0800 0200 0a000002       # CTA_IP_V4_DST
        1c00 0280                  # CTA_TUPLE_PROTO
          0500 0100 11 000000      # CTA_PROTO_NUM
          0600 0200 0005 0000      # CTA_PROTO_SRC_PORT
          0600 0300 0035 0000      # CTA_PROTO_DST_PORT
      3400 0280                    # CTA_TUPLE_REPLY
        1400 0180                  # CTA_TUPLE_IP
          0800 0100 0a000009       # CTA_IP_V4_SRC
          0800 0200 0a000001       # CTA_IP_V4_DST
        1c00 0280                  # CTA_TUPLE_PROTO
          0500 0100 11 000000      # CTA_PROTO_NUM
          0600 0200 0063 0000      # CTA_PROTO_SRC_PORT
          0600 0300 0005 0000      # CTA_PROTO_DST_PORT
      0800 0300 00000008           # CTA_STATUS
      0800 0800 00000000           # CTA_MARK
      0800 0c00 cc0853c9           # CTA_ID
      0800 0b00 00000001           # CTA_USE
      0800 0700 000003e7           # CTA_TIMEOUT
      1c00 1880 08000100 00000000 08000200 00000000 08000300 00000000 # CTA_SYNPROXY, unknown to us`),
    value: {
      header: { family: 2, version: 0, resId: 0 },
      attrs: {
        orig: {
          ip: { src4: ip('10.0.0.1'), dst4: ip('10.0.0.2') },
          proto: { number: 17, srcPort: 5, dstPort: 53 },
        },
        reply: {
          ip: { src4: ip('10.0.0.9'), dst4: ip('10.0.0.1') },
          proto: { number: 17, srcPort: 99, dstPort: 5 },
        },
        status: hex('00000008'),
        mark: hex('00000000'),
        id: hex('cc0853c9'),
        use: hex('00000001'),
        timeout: hex('000003e7'),
        unknown: [{ type: 0x8018, value: hex('0800010000000000 0800020000000000 0800030000000000') }],
      },
    },
  }),
]
