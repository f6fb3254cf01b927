/** What one seed, or other source of chance, stands for: the traits of a run, and the sizes and chances that follow from them. */
import type { RetryOptions } from '../../lib/core/service-options.ts'
import type { SeededRandom } from '../support/seeded-random.ts'

export class World {
  readonly random: SeededRandom
  /** Nobody does anything wrong, and time hardly moves: every request must get its origin's answer. */
  readonly isCalm: boolean
  readonly grain: 'bytes' | 'pieces' | 'blocks'
  readonly windowBytes: number
  readonly servers: number
  readonly namesResolve: boolean
  readonly clients: number
  /** At the end the actors stop dead: the proxy has to free everything by its deadlines. */
  readonly endsDead: boolean
  /** Undefined: what holds where no rule is configured. */
  readonly retry: RetryOptions | undefined

  constructor(random: SeededRandom, mayResolveNames = true) {
    this.random = random
    this.isCalm = random.chance(0.3)
    this.grain = random.pick(['bytes', 'pieces', 'pieces', 'blocks'] as const)
    this.windowBytes = this.grain === 'blocks' ? random.pick([4_096, 20_000, 70_000]) : random.pick([1, 7, 64, 500, 5_000, 100_000])
    this.retry = random.chance(0.5) ? makeRetryRule(random) : undefined
    this.servers = this.retry === undefined ? random.pick([1, 1, 2]) : random.pick([1, 2, 3, 3])
    this.namesResolve = random.chance(0.25) && mayResolveNames
    this.clients = random.integer(1, 4)
    this.endsDead = !this.isCalm && random.chance(0.35)
  }

  /** How often one request may arrive: at each server once, and once more when a pooled connection was closed already. */
  get arrivalsMax(): number {
    return 2 + (this.retry?.attempts ?? 0)
  }

  /** How much moves at once. */
  pieceBytes(): number {
    const { random } = this
    switch (this.grain) {
      case 'bytes':
        return random.chance(0.02) ? 65_536 : random.integer(1, 3)
      case 'pieces':
        return random.chance(0.1) ? 65_536 : random.integer(1, 200)
      case 'blocks':
        return random.integer(1, 65_536)
    }
  }

  bodyBytes(): number {
    const { random } = this
    switch (this.grain) {
      case 'bytes':
        return random.integer(0, 40)
      case 'pieces':
        return random.integer(0, 600)
      case 'blocks':
        return random.chance(0.5) ? random.integer(0, 300) : random.integer(1_000, 200_000)
    }
  }

  /** Of things that go wrong. */
  fault(probability: number): boolean {
    return !this.isCalm && this.random.chance(probability)
  }

  /** Splits into chunks, with the liberties that RFC 9112 section 7.1 allows. */
  chunked(body: string, trailers: string): string {
    const { random } = this
    let text = ''
    for (let at = 0; at < body.length;) {
      const size = Math.min(body.length - at, random.integer(1, Math.max(1, body.length)))
      const digits = random.chance(0.2) ? `0${size.toString(16).toUpperCase()}` : size.toString(16)
      text += `${digits}${random.chance(0.1) ? ';ext=1;q="a;b"' : ''}\r\n${body.slice(at, at + size)}\r\n`
      at += size
    }
    return `${text}${random.chance(0.1) ? '000' : '0'}\r\n${trailers}\r\n`
  }
}

function makeRetryRule(random: SeededRandom): RetryOptions {
  return {
    attempts: random.pick([0, 1, 2, 2]),
    on: (['connect', 'closed', 'timeout', 404, 500] as const).filter(() => random.chance(0.85)),
    budget: random.pick([0.5, 1]),
    budgetMin: random.pick([0, 4]),
  }
}
