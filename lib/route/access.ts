/** Who may use a route, by address. What is denied is denied, whatever is allowed; with an allow list, so is everybody who is not on it. */
import { NetworkSet } from './networks.ts'

/** What a peer on a Unix socket has for an address. */
const unixPeer = 'unix'

export class AccessList {
  readonly #allow: PeerSet | null
  readonly #deny: PeerSet | null

  /** Networks in CIDR notation, or `unix` for peers on a Unix socket. Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(allow: readonly string[], deny: readonly string[]) {
    this.#allow = allow.length === 0 ? null : new PeerSet(allow)
    this.#deny = deny.length === 0 ? null : new PeerSet(deny)
  }

  admits(address: string): boolean {
    if (this.#deny !== null && this.#deny.has(address)) return false
    return this.#allow === null || this.#allow.has(address)
  }
}

class PeerSet {
  readonly #networks: NetworkSet
  readonly #hasUnix: boolean

  constructor(peers: readonly string[]) {
    this.#networks = new NetworkSet(peers.filter((peer) => peer !== unixPeer))
    this.#hasUnix = peers.includes(unixPeer)
  }

  has(address: string): boolean {
    return address === unixPeer ? this.#hasUnix : this.#networks.has(address)
  }
}
