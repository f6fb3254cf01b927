/**
 * Origins that misbehave: listeners behind the rough door, one of which comes and goes. Each connection serves requests until it draws a misdeed that ends
 * it. What the proxy sends here is read strictly: it must be well formed, whatever its clients do, and no POST may come twice.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { SeededRandom } from '../support/seeded-random.ts'
import type { FaultList } from './fault-list.ts'
import { MessageReader, type MessageHead } from './message-reader.ts'
import { misdeedTable } from './misdeeds.ts'
import type { Pace } from './pace.ts'
import { RoughSocket } from './rough-socket.ts'
import { BodyIntake, checksumOf } from './tagged-body.ts'
import { unaskedTag } from './visitor.ts'

export interface RoughRequest {
  readonly method: string
  readonly tag: string
}

export interface RoughSetting {
  readonly random: SeededRandom
  readonly pace: Pace
  readonly faults: FaultList
  /** Counts what was drawn. */
  onMisdeed(name: string): void
}

/** Weights of misdeeds before any request has come. */
const greetings = { none: 100, 'reset at once': 2, 'FIN at once': 2, 'noise at once': 2, 'an answer at once': 2 } as const
/** Weights of what is done with the offer to switch protocols. */
const upgrades = { echo: 10, refuse: 2, noise: 2, reset: 2, fin: 2, stall: 2 } as const
const idleMsMax = 60_000
const bodyMsMax = 20_000
const knownPostsMax = 20_000

export class RoughOrigin {
  readonly #setting: RoughSetting
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #port = 0
  /** Answers late for so long after it has begun to listen. */
  #slowUntil = 0
  readonly #posts = new Set<string>()

  constructor(setting: RoughSetting) {
    this.#setting = setting
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      void this.#serve(new OriginVisit(new RoughSocket(socket, setting.random, setting.pace), setting, this.#posts))
    })
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1', 4_096)
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Comes and goes until the run is over; is slow when it has just come. */
  async flap(): Promise<void> {
    const { random, pace } = this.#setting
    while (!pace.isOver) {
      await pace.rest(random.integer(2_000, 6_000))
      await this.close()
      await pace.rest(random.integer(300, 1_500))
      if (pace.isOver) return
      // Somebody else may have been given the port meanwhile: then it stays away a while longer.
      await this.listen().catch(() => {})
      this.#slowUntil = performance.now() + 1_000
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  async #serve(visit: OriginVisit): Promise<void> {
    const { random } = this.#setting
    const onMisdeed = (name: string): void => this.#setting.onMisdeed(name)
    const { rough } = visit
    const greeting = random.weighted(greetings)
    if (greeting !== 'none') {
      onMisdeed(greeting)
      if (greeting === 'noise at once') await rough.send('noise\r\n\r\n')
      if (greeting === 'an answer at once') await rough.send(`HTTP/1.1 200 OK\r\nX-Tag: ${unaskedTag}\r\nContent-Length: 0\r\n\r\n`)
      rough.leave(greeting === 'reset at once' ? 'reset' : 'fin')
      await rough.gone(idleMsMax)
    }
    for (let mayGoOn = greeting === 'none'; mayGoOn;) {
      const head = await visit.next(idleMsMax)
      if (head === undefined) break
      if (performance.now() < this.#slowUntil) await rough.rest(random.integer(100, 800))
      if (head.field('Upgrade') !== '') {
        mayGoOn = await visit.upgrade(head)
        continue
      }
      const name = random.weighted(misdeedWeights)
      onMisdeed(name)
      mayGoOn = await misdeedTable
        .find((row) => row.name === name)!
        .run(visit, { method: head.startLine.split(' ')[0]!, tag: head.field('X-Tag') })
    }
    await rough.close()
  }
}

const misdeedWeights: Readonly<Record<string, number>> = Object.fromEntries(misdeedTable.map(({ name, weight }) => [name, weight]))

/** One connection of the proxy to a rough origin. */
export class OriginVisit {
  readonly rough: RoughSocket
  readonly random: SeededRandom
  readonly #setting: RoughSetting
  readonly #reader: MessageReader
  readonly #posts: Set<string>
  /** Heads that have come and were not looked at yet. */
  readonly #heads: MessageHead[] = []
  #intake = new BodyIntake()
  #current: MessageHead | undefined
  #isComplete = false
  #isEchoing = false

  constructor(rough: RoughSocket, setting: RoughSetting, posts: Set<string>) {
    this.rough = rough
    this.random = setting.random
    this.#setting = setting
    this.#posts = posts
    this.#reader = new MessageReader('request', {
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => {
        if (!this.#reader.isTunnel) this.#intake.take(bytes)
        else if (this.#isEchoing && !rough.socket.write(bytes)) rough.socket.pause()
      },
      onComplete: () => {
        this.#isComplete = true
        this.#judge()
      },
    })
    rough.onPiece = (piece) => {
      try {
        this.#reader.push(piece)
      } catch (error) {
        setting.faults.add(`a rough origin got what is no request: ${String(error)}`)
        rough.leave('destroy')
      }
    }
  }

  /** Of the current request. */
  get bodyBytes(): number {
    return this.#intake.bytes
  }

  /** The next request's head, or undefined when there is none. */
  async next(msMax: number): Promise<MessageHead | undefined> {
    await this.rough.wait(() => this.#heads.length > 0, msMax)
    return this.#heads.shift()
  }

  /** Resolves with whether the whole request has come. */
  body(): Promise<boolean> {
    return this.rough.wait(() => this.#isComplete, bodyMsMax)
  }

  /** Takes the offer to switch protocols, or does something else. */
  async upgrade(head: MessageHead): Promise<boolean> {
    const { rough } = this
    const way = this.random.weighted(upgrades)
    this.#setting.onMisdeed(`switch: ${way}`)
    if (way === 'refuse') {
      await rough.send(
        `HTTP/1.1 200 OK\r\nX-Tag: ${head.field('X-Tag')}\r\nX-Bytes: 0\r\nX-Framing: close\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      )
    } else {
      await rough.send(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
      this.#isEchoing = way === 'echo'
      rough.socket.on('drain', () => rough.socket.resume())
      if (way === 'noise') await rough.repeat(() => 'n'.repeat(4_096), this.random.integer(1, 100))
      if (way === 'reset' || way === 'fin') {
        await rough.rest(this.random.integer(0, 300))
        rough.leave(way)
      }
    }
    await rough.gone(idleMsMax)
    rough.leave('fin')
    await rough.wait(() => rough.socket.destroyed, 5_000)
    return false
  }

  #onHead(head: MessageHead): 'framed' | 'tunnel' {
    this.#current = head
    this.#intake = new BodyIntake()
    this.#isComplete = false
    this.#heads.push(head)
    const tag = head.field('X-Tag')
    if (head.startLine.startsWith('POST ') && head.field('X-Bytes') !== '') {
      if (this.#posts.has(tag)) this.#setting.faults.add(`the POST ${tag} came twice`)
      this.#posts.add(tag)
      if (this.#posts.size > knownPostsMax) this.#posts.delete(this.#posts.values().next().value!)
    }
    return head.field('Upgrade') === '' ? 'framed' : 'tunnel'
  }

  #judge(): void {
    const head = this.#current!
    const bytes = head.field('X-Bytes')
    const tag = head.field('X-Tag')
    if (bytes !== '' && this.#intake.checksum() !== checksumOf(tag, Number(bytes)))
      this.#setting.faults.add(`the body of ${tag} is not what was sent: ${this.#intake.bytes} of ${bytes} bytes`)
  }
}
