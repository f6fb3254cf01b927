/**
 * Which exchanges are logged when not all are: a share of those that ended well, and all others. The share goes by the request id alone,
 * so that machines that a request with one id has passed agree about it.
 */
import type { ExchangeSummary } from './exchange-summary.ts'

const hashes = 2 ** 32

export class Sampling {
  /** Ids whose hash is below are logged. */
  readonly #below: number

  /** `share` from 0 to 1. */
  constructor(share: number) {
    this.#below = share * hashes
  }

  takes(summary: ExchangeSummary): boolean {
    return this.#below >= hashes || !hasEndedWell(summary) || hashId(summary.id) < this.#below
  }
}

function hasEndedWell({ termination, status }: ExchangeSummary): boolean {
  return termination === '--' && status < 500
}

/** FNV-1a, and a last mix (that of MurmurHash3): the ids of one process differ in their last characters only. From 0 to 2**32 - 1. */
export function hashId(id: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
