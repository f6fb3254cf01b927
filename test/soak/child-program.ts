/**
 * A process that does what it is told over its message channel, and both ends of that channel. The parent owns the process and ends it; the process
 * ends by itself when the parent is gone.
 */
import { fork, type ChildProcess } from 'node:child_process'

/** What can be ordered, with what, and what comes back. */
export type Orders = Record<string, { readonly details: unknown; readonly reply: unknown }>

interface Order {
  readonly number: number
  readonly order: string
  readonly details: unknown
}

interface Reply {
  readonly number: number
  readonly reply?: unknown
  readonly error?: string
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class ChildProgram<O extends Orders> implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly exit: Promise<Exit>
  readonly #waiting = new Map<number, { resolve: (reply: unknown) => void; reject: (error: Error) => void }>()
  #orders = 0
  #exited: Exit | undefined
  #stderr = ''

  constructor(name: string, url: URL, execArgv: readonly string[] = []) {
    this.name = name
    this.#child = fork(url, { execArgv: [...process.execArgv, ...execArgv], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr = (this.#stderr + text).slice(-4_000)))
    this.#child.on('message', (message) => {
      const { number, reply, error } = message as Reply
      const waiting = this.#waiting.get(number)
      this.#waiting.delete(number)
      if (error === undefined) waiting?.resolve(reply)
      else waiting?.reject(new Error(`${name}: ${error}`))
    })
    this.exit = new Promise((resolve) => {
      const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#exited = { code, signal }
        for (const { reject } of this.#waiting.values()) reject(this.#gone())
        this.#waiting.clear()
        resolve(this.#exited)
      }
      this.#child.once('exit', onExit)
      this.#child.once('error', () => onExit(null, null))
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  get isRunning(): boolean {
    return this.#exited === undefined
  }

  /** Its last words on standard error. */
  get stderr(): string {
    return this.#stderr
  }

  /** Rejects when the order fails or the process is gone. */
  ask<K extends keyof O & string>(order: K, details: O[K]['details']): Promise<O[K]['reply']> {
    return new Promise((resolve, reject) => {
      if (this.#exited !== undefined || !this.#child.connected) return reject(this.#gone())
      const number = this.#orders++
      this.#waiting.set(number, { resolve, reject })
      this.#child.send({ number, order, details } satisfies Order, (error) => {
        if (error === null) return
        this.#waiting.delete(number)
        reject(this.#gone())
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#exited === undefined) this.#child.kill('SIGKILL')
    await this.exit
  }

  #gone(): Error {
    const { code, signal } = this.#exited ?? { code: null, signal: null }
    const words = this.#stderr.trim()
    return new Error(`${this.name} has ended (${signal ?? `exit code ${String(code)}`})${words === '' ? '' : `: ${words.slice(0, 1_000)}`}`)
  }
}

/** The other end: answers orders until `leave` is called or the parent is gone. */
export function obey<O extends Orders>(handlers: {
  readonly [K in keyof O]: (details: O[K]['details']) => O[K]['reply'] | Promise<O[K]['reply']>
}): { leave: () => void } {
  let isLeaving = false
  // A terminal sends these to the parent too, which ends the run in good order.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on('message', (message) => {
    const { number, order, details } = message as Order
    void (async () => handlers[order]!(details))()
      .then(
        (reply): Reply => ({ number, reply }),
        (error: unknown): Reply => ({ number, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      )
      .then((reply) => process.send?.(reply))
  })
  process.once('disconnect', () => {
    if (!isLeaving) process.exit(1)
  })
  return {
    leave: () => {
      isLeaving = true
      process.disconnect()
    },
  }
}
