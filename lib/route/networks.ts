/**
 * Sets of networks in CIDR notation, and whether an address is in one. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4
 * address that it holds, in a network as in an address: no client gets round a rule by the family of the socket that it came through.
 * Knows nothing of sockets or fields: an address is the text that others have found.
 */
import { ProxyError } from '../core/errors.ts'

/** Reused for every address: it is filled and read within one call. */
const scratch = new Uint32Array(4)

const mappedWord = 0xffff

/** First and last address of a network; of IPv4 they are below 2^32. */
interface Range {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

export class NetworkSet {
  /** Disjoint ranges in rising order: first and last address of each. IPv6 addresses are four words. */
  readonly #first4: Uint32Array
  readonly #last4: Uint32Array
  readonly #first6: Uint32Array
  readonly #last6: Uint32Array

  /** Networks as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one. Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(networks: readonly string[]) {
    const ranges = networks.map(parseNetwork)
    const ranges4 = mergeRanges(ranges.filter(({ family }) => family === 4))
    const ranges6 = mergeRanges(ranges.filter(({ family }) => family === 6))
    this.#first4 = Uint32Array.from(ranges4, ({ first }) => Number(first))
    this.#last4 = Uint32Array.from(ranges4, ({ last }) => Number(last))
    this.#first6 = Uint32Array.from(ranges6.flatMap(({ first }) => splitWords(first)))
    this.#last6 = Uint32Array.from(ranges6.flatMap(({ last }) => splitWords(last)))
  }

  /** False for whatever is no IP address, such as the peer of a Unix socket. */
  has(address: string): boolean {
    switch (readAddress(address, scratch)) {
      case 4:
        return this.#has4(scratch[3]!)
      case 6:
        return this.#has6()
      case 0:
        return false
    }
  }

  #has4(address: number): boolean {
    const first = this.#first4
    let low = 0
    let high = first.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (first[middle]! <= address) low = middle + 1
      else high = middle
    }
    return low > 0 && address <= this.#last4[low - 1]!
  }

  #has6(): boolean {
    const first = this.#first6
    let low = 0
    let high = first.length >>> 2
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareWithScratch(first, middle) <= 0) low = middle + 1
      else high = middle
    }
    return low > 0 && compareWithScratch(this.#last6, low - 1) >= 0
  }
}

/**
 * Reads an IPv4 or IPv6 address into four words, the most significant first; an IPv4 address, mapped or not, is in the last one. Returns
 * its family, 0 when `text` is no address. A zone (`%eth0`) is no part of the address. IPv4 is four decimal numbers without
 * leading zeros, which some take for octal.
 */
export function readAddress(text: string, words: Uint32Array): 4 | 6 | 0 {
  words[0] = 0
  words[1] = 0
  words[2] = 0
  // By far the most are IPv4, and nothing else begins like it: it is tried before the text is searched for anything.
  const address = readIpv4(text, 0, text.length)
  if (address >= 0) {
    words[3] = address
    return 4
  }
  const zone = text.indexOf('%')
  const end = zone < 0 ? text.length : zone
  if (!readIpv6(text, end, words)) return 0
  if (words[0] !== 0 || words[1] !== 0 || words[2] !== mappedWord) return 6
  words[2] = 0
  return 4
}

/** -1 when text[start, end) is no IPv4 address. */
function readIpv4(text: string, start: number, end: number): number {
  let address = 0
  let octet = -1
  let dots = 0
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x2e) {
      if (octet < 0) return -1
      address = (address << 8) | octet
      octet = -1
      dots++
    } else {
      const digit = code - 0x30
      if (digit < 0 || digit > 9 || octet === 0) return -1
      octet = octet < 0 ? digit : octet * 10 + digit
      if (octet > 255) return -1
    }
  }
  return dots === 3 && octet >= 0 ? ((address << 8) | octet) >>> 0 : -1
}

/** The eight parts of the IPv6 address that is being read. */
const parts = new Uint16Array(8)

/** RFC 4291 section 2.2. */
function readIpv6(text: string, end: number, words: Uint32Array): boolean {
  let count = 0
  /** How many groups stand before `::`, -1 without one. */
  let gap = -1
  let at = 0
  if (text.charCodeAt(0) === 0x3a) {
    if (text.charCodeAt(1) !== 0x3a) return false
    gap = 0
    at = 2
  }
  while (at < end) {
    let value = 0
    let code = 0
    const start = at
    for (; at < end; at++) {
      code = text.charCodeAt(at)
      const digit = hexDigit(code)
      if (digit < 0) break
      value = ((value << 4) | digit) & 0xfffff
    }
    if (at < end && code === 0x2e) {
      const address = count <= 6 ? readIpv4(text, start, end) : -1
      if (address < 0) return false
      parts[count++] = address >>> 16
      parts[count++] = address & 0xffff
      break
    }
    if (at === start || at - start > 4 || count === 8) return false
    parts[count++] = value
    if (at === end) break
    if (code !== 0x3a) return false
    at++
    if (at < end && text.charCodeAt(at) === 0x3a) {
      if (gap >= 0) return false
      gap = count
      at++
    } else if (at === end) return false
  }
  // It stands for one group at least.
  if (gap < 0 ? count !== 8 : count === 8) return false
  if (gap >= 0) {
    const behind = count - gap
    for (let moved = 1; moved <= behind; moved++) parts[8 - moved] = parts[count - moved]!
    for (let index = gap; index < 8 - behind; index++) parts[index] = 0
  }
  for (let index = 0; index < 4; index++) words[index] = (parts[2 * index]! << 16) | parts[2 * index + 1]!
  return true
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function compareWithScratch(list: Uint32Array, index: number): number {
  const at = index << 2
  for (let i = 0; i < 4; i++) {
    const difference = list[at + i]! - scratch[i]!
    if (difference !== 0) return difference
  }
  return 0
}

function parseNetwork(text: string): Range {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const family = address.includes('%') ? 0 : readAddress(address, scratch)
  if (family === 0) throw networkError(text, 'write an address and the length of its prefix, such as 10.0.0.0/8 or 2001:db8::/32')
  // A mapped network counts its prefix as IPv6 does; below 96 it would be more than what is mapped, and then it is not read as mapped.
  const bitsWritten = address.includes(':') ? 128 : 32
  const prefixText = slash < 0 ? String(bitsWritten) : text.slice(slash + 1)
  const prefix = /^(?:0|[1-9][0-9]{0,2})$/.test(prefixText) ? Number(prefixText) : Infinity
  if (prefix > bitsWritten) throw networkError(text, `the prefix is a whole number from 0 to ${bitsWritten}`)
  const bits = family === 4 ? 32 : 128
  const length = prefix - (bitsWritten - bits)
  if (length < 0) throw networkError(text, 'of an IPv4-mapped network the prefix has 96 bits at least')
  const first = joinWords(scratch)
  const host = (1n << BigInt(bits - length)) - 1n
  if ((first & host) !== 0n) {
    const network = formatNetwork(family, first & ~host, length)
    throw networkError(text, `the address has bits behind its prefix; the network is ${network}, and this one address is ${address}`)
  }
  return { family, first, last: first | host }
}

/** Overlapping and adjacent ranges become one. */
function mergeRanges(ranges: readonly Range[]): readonly Range[] {
  const merged: Range[] = []
  for (const range of [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const before = merged.at(-1)
    if (before === undefined || range.first > before.last + 1n) merged.push(range)
    else if (range.last > before.last) merged[merged.length - 1] = { ...before, last: range.last }
  }
  return merged
}

function joinWords(words: Uint32Array): bigint {
  return words.reduce((value, word) => (value << 32n) | BigInt(word), 0n)
}

function splitWords(value: bigint): number[] {
  return [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffff_ffffn))
}

function formatNetwork(family: 4 | 6, first: bigint, length: number): string {
  const [high = 0, second = 0, third = 0, low = 0] = splitWords(first)
  if (family === 4) return `${[24, 16, 8, 0].map((shift) => (low >>> shift) & 0xff).join('.')}/${length}`
  const groups = [high, second, third, low].flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)])
  // The zeros behind the prefix are what a network ends in.
  const shown = groups.join(':').replace(/(?::0){2,}$/, '::')
  return `${shown === '0::' ? '::' : shown}/${length}`
}

function networkError(text: string, why: string): ProxyError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new ProxyError('ERR_EPROXY_OPTION', `${JSON.stringify(shown)} is not a network: ${why}`)
}
