/** What is asked of a router about a port mapping, and what comes of it. */

import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import type { MappingService } from './igd.ts'

/** Where the router is, and from which of this host's addresses it is reached. Both IPv4. */
export interface RouterPlace {
  readonly gateway: string
  readonly ownAddress: string
}

export interface MappingRequest {
  /** Of UDP on this host, at `ownAddress`. */
  readonly port: number
  /** The one outside that is wanted; the router may choose another. */
  readonly externalPort: number
  /** Seconds; 0: the mapping is to go. */
  readonly lifetimeS: number
  /** 24 hex digits. PCP lets only those renew and delete a mapping who know it. */
  readonly nonce: string
  /** Called before the router is asked for a mapping that has no end: its answer may never arrive here. */
  willKeep?(externalPort: number): void
}

export interface Granted {
  readonly protocol: PortMappingProtocol
  /** `192.0.2.1:7443` */
  readonly external: string
  /** Seconds, as the router says. */
  readonly lifetimeS: number
  /** UPnP: what can be asked whether the mapping is there. */
  readonly service?: MappingService
}

/** A mapping by UPnP that there was. */
export interface MappedByUpnp {
  readonly service: MappingService
  readonly port: number
  readonly externalPort: number
}

export interface Refusal {
  /** Why there is no mapping, in this program's words, never the router's: `not allowed`. */
  readonly refused: string
  /** The router speaks the protocol and says no, which a person can change; else it is silent or fails. */
  readonly isDenied?: boolean
}

export type Answer = { readonly granted: Granted } | Refusal

/** One protocol to speak with a router. No promise of it rejects: what goes wrong is a refusal. */
export interface MappingClient {
  readonly protocol: PortMappingProtocol
  /** Whether the router speaks it. Asks for no mapping unless the protocol has no other request. */
  find(place: RouterPlace, request: MappingRequest, signal: AbortSignal): Promise<Found>
}

/** `ask`: makes, renews or (with lifetime 0) deletes the mapping. */
export type Found = { ask(request: MappingRequest): Promise<Answer> } | Refusal
