/**
 * One limit: how many requests a key may make. It decides at once, always, in one of two ways.
 *
 * Alone, a key's account is here and is exact.
 *
 * Shared, the account is in a store (SharedStore), and what is here is an estimate: the account as the store last told it, plus what was let
 * through since. What is let through is told to the store without waiting for it. For a key in much use the store is asked for a lease as well:
 * requests that are paid for ahead, so that there is one question for many requests. The most that is let through beyond the limit:
 * everything is charged, if late, so over a long time nothing; but until a process has heard of a key from the store, or between a request and
 * the answer to its question, it does not know what others let through meanwhile. P processes that hear of a key within one round trip let
 * through P times the burst at most, and are then behind until that is paid. A lease is good for a second: with it at most `leaseMs` worth of
 * requests a process come later than they were paid for.
 *
 * While the store cannot be asked, `onError` says what happens: the same keys are counted here, with the limit as it is written for each
 * process ('local'), or nothing is ('open'), or all is refused ('closed').
 */
import { createHash } from 'node:crypto'
import type { RateLimitOptions } from '../core/service-options.ts'
import { formatClientNetwork } from './key-hasher.ts'
import { Rate } from './rate.ts'
import { RateTable } from './rate-table.ts'
import type { SharedStore, StoreQuestion } from './shared-store.ts'

/** A lease is what the rate allows in this time, and is given up when it was not used for so long. */
const leaseMs = 50
const leaseKeptMs = 1_000

export type KeyKind = RateLimitOptions['key']['kind']

export interface RateLimitCounts {
  readonly allowed: Readonly<Record<'local' | 'shared', number>>
  readonly limited: Readonly<Record<'local' | 'shared', number>>
  /** Let through or refused without counting, as `onError` says. */
  readonly unreachable: Readonly<Record<'local' | 'shared', number>>
}

export class RateLimit {
  readonly name: string
  readonly options: RateLimitOptions
  readonly rate: Rate
  readonly store: SharedStore | null
  /** Of a limit by the value of a field: its name in lower case. */
  readonly fieldName: string
  readonly #table: RateTable
  readonly #leaseRequests: number
  readonly #storeKeyStart: string

  // Of the last decision.
  #tat = 0
  #now = 0
  #extra = 0
  /** `charge`: from the account here, and the store is told. */
  #taken: 'nothing' | 'account' | 'charge' | 'lease' = 'nothing'
  /** It was refused because the store cannot be asked. */
  wasUnreachable = false

  #allowedLocal = 0
  #allowedShared = 0
  #limitedLocal = 0
  #limitedShared = 0
  #unreachable = 0

  constructor(name: string, options: RateLimitOptions, store: SharedStore | null) {
    this.name = name
    this.options = options
    this.rate = new Rate(options)
    this.store = store
    this.fieldName = options.key.kind === 'header' ? options.key.name.toLowerCase() : ''
    this.#table = new RateTable(store !== null)
    const { requests, perMs, burst } = options
    this.#leaseRequests = Math.min(Math.floor((requests * leaseMs) / perMs), burst >> 1)
    this.#storeKeyStart = `${name}:${requests}/${perMs}ms+${burst}`
  }

  get counts(): RateLimitCounts {
    return {
      allowed: { local: this.#allowedLocal, shared: this.#allowedShared },
      limited: { local: this.#limitedLocal, shared: this.#limitedShared },
      unreachable: { local: 0, shared: this.#unreachable },
    }
  }

  /** Whether a key may make one more request now. `kind` and `text` are what the key was made of, for the store. */
  take(high: number, low: number, kind: KeyKind, text: string, nowMs: number): boolean {
    const { store, rate } = this
    const isShared = store !== null && store.isReady
    this.#extra = 0
    this.#taken = 'nothing'
    if (store !== null && !isShared && store.onError !== 'local') return this.#takeUncounted(store)
    this.wasUnreachable = false
    const table = this.#table
    const now = rate.toUnits(nowMs)
    const slot = table.slotOf(high, low, now)
    const tat = Math.max(table.tats[slot]!, now)
    this.#now = now
    this.#tat = tat
    if (isShared && this.#takeLeased(slot, nowMs)) {
      if (this.#extra <= this.#leaseRequests >> 1) this.#ask(store, slot, high, low, kind, text)
      return true
    }
    if (tat - now > rate.leadUnits) {
      if (isShared) this.#limitedShared++
      else this.#limitedLocal++
      return false
    }
    this.#tat = table.tats[slot] = tat + rate.costUnits
    if (!isShared) {
      this.#taken = 'account'
      this.#allowedLocal++
      return true
    }
    this.#taken = 'charge'
    this.#allowedShared++
    table.debts[slot]!++
    this.#ask(store, slot, high, low, kind, text)
    return true
  }

  /** Takes the last decision back: another limit has refused the request that this one let through. */
  giveBack(high: number, low: number): void {
    const taken = this.#taken
    this.#taken = 'nothing'
    const table = this.#table
    const slot = taken === 'nothing' ? -1 : table.find(high, low)
    if (slot < 0) return
    if (taken === 'account') table.tats[slot]! -= this.rate.costUnits
    else if (taken === 'charge' && table.debts[slot]! > 0) {
      table.debts[slot]!--
      table.tats[slot]! -= this.rate.costUnits
    } else {
      // The store charges it, or has: it is there for the next request.
      table.leases[slot]!++
      table.leaseEnds[slot] = Math.max(table.leaseEnds[slot]!, this.#now / this.rate.unitsPerMs + leaseKeptMs)
    }
  }

  /** After the last decision: requests that the key could make now. */
  get remaining(): number {
    return this.rate.remaining(this.#tat, this.#now) + this.#extra
  }

  get retryAfterMs(): number {
    return this.wasUnreachable ? 1_000 : this.rate.retryAfterMs(this.#tat, this.#now)
  }

  /** Until the key could make as many requests as ever. */
  get resetMs(): number {
    return this.rate.resetMs(this.#tat, this.#now)
  }

  /** The store cannot be asked, and nothing is counted meanwhile. */
  #takeUncounted({ onError }: SharedStore): boolean {
    this.#unreachable++
    this.wasUnreachable = onError === 'closed'
    this.#tat = this.#now = 0
    return !this.wasUnreachable
  }

  /** Whether the store was paid for the request ahead. */
  #takeLeased(slot: number, nowMs: number): boolean {
    const { leases, leaseEnds } = this.#table
    const leased = leases[slot]!
    if (leased === 0 || leaseEnds[slot]! <= nowMs) {
      leases[slot] = 0
      return false
    }
    this.#extra = leases[slot] = leased - 1
    this.#taken = 'lease'
    this.#allowedShared++
    return true
  }

  #ask(store: SharedStore, slot: number, high: number, low: number, kind: KeyKind, text: string): void {
    // With too many questions open the debt stays here until the key is used again.
    if (this.#table.asked[slot] === 1 || !store.hasRoom) return
    this.#send(store, slot, { limit: this, key: this.#storeKey(kind, text), high, low, charge: 0, want: this.#leaseRequests })
  }

  #send(store: SharedStore, slot: number, question: Question): void {
    const table = this.#table
    question.charge = table.debts[slot]!
    table.debts[slot] = 0
    table.asked[slot] = 1
    store.ask(question)
  }

  /** Which the store has answered: so many requests are leased, and the account is so far ahead of its time. */
  onAnswer(question: Question, granted: number, aheadMs: number, nowMs: number): void {
    const { rate, store } = this
    const table = this.#table
    const slot = table.find(question.high, question.low)
    if (slot < 0) return
    const debt = table.debts[slot]!
    table.asked[slot] = 0
    table.tats[slot] = rate.toUnits(nowMs) + Math.ceil(aheadMs * rate.unitsPerMs) + debt * rate.costUnits
    if (table.leaseEnds[slot]! <= nowMs) table.leases[slot] = 0
    table.leases[slot]! += granted
    if (granted > 0) table.leaseEnds[slot] = nowMs + leaseKeptMs
    if (debt > 0 && store!.hasRoom) this.#send(store!, slot, question)
  }

  /** Nobody knows whether the store has charged it: the account here stays as it is. */
  onNoAnswer({ high, low }: Question): void {
    const slot = this.#table.find(high, low)
    if (slot >= 0) this.#table.asked[slot] = 0
  }

  /**
   * The same on all machines that have the limit as it is here. With other numbers the account would mean something else: a client that is
   * within one could be far beyond the other. What a field holds may be a secret, and as long as it likes: it is not told.
   */
  #storeKey(kind: KeyKind, text: string): string {
    const start = `${this.#storeKeyStart}:${kind}:`
    if (kind === 'client') return start + formatClientNetwork(text, this.options.ipv6Prefix)
    return start + (kind === 'header' ? digest(`${this.fieldName}:${text}`) : text)
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('base64url').slice(0, 22)
}

export interface Question extends StoreQuestion {
  readonly limit: RateLimit
  readonly high: number
  readonly low: number
}
