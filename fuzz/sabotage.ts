/** Canaries inside the engine: one member of one class is another while the target runs, as if it had been written so. */
import type { FuzzTarget } from './target.ts'

/** `make` gets what is there and gives what takes its place: a method, or the getter of a property. */
export function withMember<T extends object>(
  target: FuzzTarget,
  prototype: T,
  name: keyof T & string,
  make: (original: (...args: never[]) => unknown) => (this: T, ...args: never[]) => unknown,
): FuzzTarget {
  const intact = Object.getOwnPropertyDescriptor(prototype, name)
  if (intact === undefined) throw new Error(`there is no member ${name} to break`)
  const { get, value } = intact as Readonly<Record<'get' | 'value', (...args: never[]) => unknown>>
  const broken = get === undefined ? { ...intact, value: make(value) } : { ...intact, get: make(get) }
  return {
    ...target,
    run(data, random) {
      Object.defineProperty(prototype, name, broken)
      try {
        target.run(data, random)
      } finally {
        Object.defineProperty(prototype, name, intact)
      }
    },
  }
}
