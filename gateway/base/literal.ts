/** The look-up of sockets whose clients are addresses: without it, each answer asks for the address of an address. */

type LookedUp = (err: null, address: string, family: number) => void

export const literalIpv4 = (host: string, _options: unknown, callback: LookedUp): void =>
  callback(null, host, 4)
