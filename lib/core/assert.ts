/** Our own contradictions, never a peer's behaviour: an AssertionError is caught at the event boundary and costs one connection. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AssertionError'
  }
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** The same with a message that costs something to make: for `if (!condition) contradiction(...)` on hot paths. */
export function contradiction(message: string): never {
  throw new AssertionError(message)
}
