/**
 * How many connections each client has through one listener: an IPv4 address, or the /64 of an IPv6 address, which is what one client is given.
 * Bounded by the connections that there are. Peers without an address, on a unix socket, are not counted: what stands there is a proxy of
 * our own side, which speaks for many.
 */
import { isIP } from 'node:net'
import { formatClientNetwork } from './key-hasher.ts'

const prefix = 64

export class ClientConnections {
  readonly #counts = new Map<string, number>()
  readonly #networks = new Map<object, string>()

  /** Clients that are connected. */
  get clients(): number {
    return this.#counts.size
  }

  /** Whether a client may have one more, so that it has at most `most`. */
  mayConnect(address: string, most: number): boolean {
    return (this.#counts.get(formatClientNetwork(address, prefix)) ?? 0) < most
  }

  add(connection: object, address: string): void {
    if (isIP(address) === 0) return
    const network = formatClientNetwork(address, prefix)
    this.#networks.set(connection, network)
    this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1)
  }

  /** One that was not added is not counted: no limit was configured when it came. */
  remove(connection: object): void {
    const network = this.#networks.get(connection)
    if (network === undefined) return
    this.#networks.delete(connection)
    const left = this.#counts.get(network)! - 1
    if (left === 0) this.#counts.delete(network)
    else this.#counts.set(network, left)
  }
}
