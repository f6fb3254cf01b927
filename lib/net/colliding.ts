/**
 * Which sockets that are to be left stand in the way of those that are to come: of one port, one address and all of them cannot be had at
 * a time. It only tells; closing and opening is for those who have the sockets.
 */
import { ProxyError } from '../core/errors.ts'
import { parseListenAddress, type Address } from '../core/options.ts'

/** By the port alone: a name and an address may be the same, and port 0 is always another. */
export function mayCollide(one: Address, other: Address): boolean {
  return one.kind === 'tcp' && other.kind === 'tcp' && one.port === other.port && one.port !== 0
}

/** `address` of those that are left is the one that was chosen. None when the wanted ones could not be had for another reason. */
export function findColliding<T extends { readonly address: string }>(error: unknown, wanted: readonly string[], left: readonly T[]): T[] {
  if (!(error instanceof ProxyError) || (error.cause as NodeJS.ErrnoException | undefined)?.code !== 'EADDRINUSE') return []
  const places = wanted.map(parseListenAddress)
  return left.filter(({ address }) => places.some((place) => mayCollide(place, parseListenAddress(address))))
}
