/**
 * Values by the names of hosts, looked up where a name stands in a head: no string is made for it, and nothing has to be hashed that the engine of
 * JavaScript would keep. The names are those of the configuration, so nobody from outside can make the table slow.
 */
import { equalsIgnoreCase, FieldKind, spanWidth, type RequestHead } from '../../native-free-parser/index.ts'
import { findNameEnd } from './host.ts'

interface Slot<T> {
  /** In lower case. */
  readonly name: string
  readonly value: T
}

export class HostTable<T> {
  /** Open addressing, at most half full, a power of two. */
  readonly #slots: (Slot<T> | undefined)[]

  /** Names in lower case, without port and without the dot that may end a name. */
  constructor(values: ReadonlyMap<string, T>) {
    let slots = 2
    while (slots < values.size * 2) slots *= 2
    this.#slots = Array.from({ length: slots })
    for (const [name, value] of values) {
      let index = hashOf(name, 0, name.length) & (slots - 1)
      while (this.#slots[index] !== undefined) index = (index + 1) & (slots - 1)
      this.#slots[index] = { name, value }
    }
  }

  /** The value of the host that a request is for, which `readHost` reads in the same way. */
  find(head: RequestHead): T | undefined {
    if (head.authority !== '') return this.#findIn(head.authority, 0, head.authority.length)
    if (!head.has(FieldKind.HOST)) return undefined
    const at = head.lastIndex[FieldKind.HOST]! * spanWidth
    return this.#findIn(head.raw, head.spans[at + 2]!, head.spans[at + 3]!)
  }

  #findIn(text: string, start: number, authorityEnd: number): T | undefined {
    const end = findNameEnd(text, start, authorityEnd)
    const slots = this.#slots
    const mask = slots.length - 1
    for (let index = hashOf(text, start, end) & mask; ; index = (index + 1) & mask) {
      const slot = slots[index]
      if (slot === undefined) return undefined
      if (equalsIgnoreCase(text, start, end, slot.name)) return slot.value
    }
  }
}

/** FNV-1a, in whatever case the letters are. */
function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5
  // With this bit set an upper-case letter is a lower-case one; what else falls together is told apart by the comparison.
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (text.charCodeAt(at) | 0x20), 0x01000193)
  return hash ^ (hash >>> 15)
}
