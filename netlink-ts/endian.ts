/** The byte order of this host, in which netlink speaks. */

export const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
