/**
 * Faults to be planted into the proxy under test, one for each thing that the soak looks for: a soak that does not find them is no test. Each replaces
 * a method of the engine by one that now and then does the wrong thing.
 */
import { WriteBatch } from '../../lib/exchange/write-batch.ts'
import { Exchange } from '../../lib/exchange/exchange.ts'
import { TimerWheel, type Deadline } from '../../lib/core/timers.ts'
import { ConnectionState, UpstreamConnection } from '../../lib/upstream/connection.ts'
import { ParserEngine } from '../../native-free-parser/index.ts'

export interface Defect {
  readonly name: string
  readonly what: string
  /** The check that has to find it, by name. */
  readonly foundBy: string
  plant(): void
}

/** True once in so many calls, and not in the first few. */
function onceIn(times: number): () => boolean {
  let calls = 0
  return () => ++calls % times === 0
}

/** Puts another method in the place of one, made from it. */
function replace<T extends object, K extends keyof T>(prototype: T, name: K, make: (original: T[K]) => T[K]): void {
  prototype[name] = make(prototype[name])
}

const kept: unknown[] = []

// oxfmt-ignore
export const defectTable: readonly Defect[] = [
  { name: 'leak-socket', what: 'an idle connection to an upstream is not closed when it should be', foundBy: 'sockets', plant() {
    const isNow = onceIn(3)
    replace(UpstreamConnection.prototype, 'terminate', (original) => function (this: UpstreamConnection) {
      if (this.state === ConnectionState.IDLE && isNow()) Object.assign(this.socket, { destroy() {} })
      original.call(this)
    })
  } },
  { name: 'lose-slot', what: 'a parser slot is not given back', foundBy: 'at rest', plant() {
    const isNow = onceIn(10)
    replace(ParserEngine.prototype, 'release', (original) => function (this: ParserEngine, slot: number, generation: number) {
      if (!isNow()) original.call(this, slot, generation)
    })
  } },
  { name: 'leave-deadline', what: 'a deadline stays in the wheel when its owner is gone', foundBy: 'at rest', plant() {
    const isNow = onceIn(50)
    replace(TimerWheel.prototype, 'remove', (original) => function (this: TimerWheel, deadline: Deadline) {
      original.call(this, deadline)
      if (isNow()) this.arm(deadline, 'nothing', 3_600_000)
    })
  } },
  { name: 'keep-memory', what: 'something is kept of every exchange', foundBy: 'memory', plant() {
    replace(Exchange.prototype, 'begin', (original) => function (this: Exchange, ...given: Parameters<Exchange['begin']>) {
      kept.push(Array.from<number>({ length: 10_000 }).fill(0.5))
      original.apply(this, given)
    })
  } },
  { name: 'corrupt-byte', what: 'a byte of a body is changed', foundBy: 'good clients', plant() {
    const isNow = onceIn(50)
    replace(WriteBatch.prototype, 'encode', (original) => function (this: WriteBatch, ...given: Parameters<WriteBatch['encode']>) {
      const data = original.apply(this, given)
      if (typeof data !== 'string' && isNow()) data[data.length >> 1]! ^= 1
      return data
    })
  } },
  { name: 'swap-answers', what: 'an answer goes to another client', foundBy: 'good clients', plant() {
    const isNow = onceIn(50)
    let other = ''
    replace(WriteBatch.prototype, 'encode', (original) => function (this: WriteBatch, ...given: Parameters<WriteBatch['encode']>) {
      const data = original.apply(this, given)
      if (typeof data !== 'string' || !data.startsWith('HTTP/1.1 200 ')) return data
      const before = other
      other = data
      return before !== '' && isNow() ? before : data
    })
  } },
  { name: 'throw', what: 'the engine contradicts itself', foundBy: 'faults of its own', plant() {
    const isNow = onceIn(50)
    replace(Exchange.prototype, 'onRequestComplete', (original) => function (this: Exchange) {
      if (isNow()) throw new Error('planted')
      original.call(this)
    })
  } },
  { name: 'block', what: 'the event loop stands still again and again', foundBy: 'latency', plant() {
    const isNow = onceIn(40)
    replace(Exchange.prototype, 'begin', (original) => function (this: Exchange, ...given: Parameters<Exchange['begin']>) {
      if (isNow()) for (const until = performance.now() + 2_500; performance.now() < until;);
      original.apply(this, given)
    })
  } },
  { name: 'die', what: 'the process ends', foundBy: 'process', plant() {
    const isNow = onceIn(300)
    replace(Exchange.prototype, 'begin', (original) => function (this: Exchange, ...given: Parameters<Exchange['begin']>) {
      if (isNow()) process.exit(7)
      original.apply(this, given)
    })
  } },
]

export function plantDefect(name: string): void {
  const defect = defectTable.find((row) => row.name === name)
  if (defect === undefined) throw new Error(`there is no defect ${name}`)
  defect.plant()
}
