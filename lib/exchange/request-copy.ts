/**
 * The copy of a request for the mirror of another group: gathered beside what is sent, given away when the request is complete. What is too
 * long, or ends too early, is dropped there. The exchange does not depend on it in any way.
 */
import type { ResponseContext } from '../../native-free-parser/index.ts'
import type { Mirror } from '../upstream/mirror.ts'

export class RequestCopy {
  #mirror: Mirror | undefined
  /** Undefined while no copy is wanted. */
  #pieces: (string | Buffer)[] | undefined
  #bytes = 0

  begin(mirror: Mirror): void {
    this.#mirror = mirror
    this.#pieces = []
    this.#bytes = 0
  }

  get isWanted(): boolean {
    return this.#pieces !== undefined
  }

  /** One more piece of the request, which stays as it is. With the last one the copy leaves; `context` is that of the request. */
  add(data: string | Buffer, isLast: boolean, bytesMax: number, context: ResponseContext): void {
    const pieces = this.#pieces!
    this.#bytes += data.length
    if (this.#bytes > bytesMax) {
      this.#pieces = undefined
      return this.#mirror!.drop('too-large')
    }
    pieces.push(data)
    if (!isLast) return
    this.#pieces = undefined
    this.#mirror!.send(pieces, context)
  }

  /** The exchange is over. */
  end(): void {
    if (this.#pieces === undefined) return
    this.#pieces = undefined
    this.#mirror!.drop('incomplete')
  }
}
