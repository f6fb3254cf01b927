/** One run of a row of the raid table: chance of its own, the connections it opens, and how each of them ended. */
import { connect } from 'node:net'
import type { SeededRandom } from '../support/seeded-random.ts'
import type { Door, Doors } from './crowd-messages.ts'
import type { FaultList } from './fault-list.ts'
import type { Pace } from './pace.ts'
import { RoughSocket } from './rough-socket.ts'

const connectMsMax = 10_000

export interface RaiderSetting {
  readonly doors: Doors
  readonly random: SeededRandom
  readonly pace: Pace
  readonly faults: FaultList
}

export class Raider {
  readonly tag: string
  readonly random: SeededRandom
  /** What goes wrong that no misbehaviour explains. */
  readonly faults: FaultList
  readonly #setting: RaiderSetting
  readonly #door: 'front' | 'rough'
  readonly #opened: RoughSocket[] = []

  constructor(tag: string, setting: RaiderSetting) {
    this.tag = tag
    this.random = setting.random
    this.faults = setting.faults
    this.#setting = setting
    this.#door = setting.random.chance(0.6) ? 'front' : 'rough'
  }

  /** It goes where the good clients go. */
  get isAtFront(): boolean {
    return this.#door === 'front'
  }

  get narrowConnections(): number {
    return this.#setting.doors.narrowConnections
  }

  get isOver(): boolean {
    return this.#setting.pace.isOver
  }

  /** How each connection ended: a status, or what happened instead of one. */
  get endings(): readonly string[] {
    return this.#opened.map(({ status, ending, isConnected }) => {
      if (status !== '') return status
      if (!isConnected) return 'unconnected'
      return ending === undefined ? 'left' : ending === 'fin' ? 'closed' : 'reset'
    })
  }

  /** A connection through the door that was drawn, or another one. It may turn out to be over already. */
  async open(door: Door = this.#door): Promise<RoughSocket> {
    const socket = connect({ host: '127.0.0.1', port: this.#setting.doors[door], allowHalfOpen: true, noDelay: true })
    const opened = new RoughSocket(socket, this.random, this.#setting.pace)
    this.#opened.push(opened)
    await opened.wait(() => opened.isConnected, connectMsMax)
    return opened
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((socket) => socket.close()))
  }
}
