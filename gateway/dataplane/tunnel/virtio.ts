/** struct virtio_net_hdr of include/uapi/linux/virtio_net.h: offsets and values. Little-endian by TUNSETVNETLE. */

export const FLAGS = 0
export const GSO_TYPE = 1
export const HDR_LEN = 2
export const GSO_SIZE = 4
export const CSUM_START = 6
export const CSUM_OFFSET = 8

export const F_NEEDS_CSUM = 1

export const GSO_NONE = 0
export const GSO_TCPV4 = 1
export const GSO_UDP_L4 = 5
export const GSO_ECN = 0x80
