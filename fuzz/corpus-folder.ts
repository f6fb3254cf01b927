/**
 * The corpus of a target between runs: one file for each input, named SEED-HASH.bin. The folder is a cache: nothing is lost with it but time,
 * and it is not committed.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Input } from './corpus.ts'

/** In the sources, not in build/. */
export const cacheFolder = fileURLToPath(new URL('../../fuzz/corpus/cache/', import.meta.url))

export class CorpusFolder {
  readonly #path: string
  /** Files that were loaded or written. */
  readonly #known = new Set<string>()

  constructor(path: string) {
    this.#path = path
  }

  /** The shortest first. */
  load(): Input[] {
    const names = existsSync(this.#path) ? readdirSync(this.#path).sort() : []
    const inputs = names.flatMap((name) => {
      const seed = /^([0-9]+)-[0-9a-f]+\.bin$/.exec(name)?.[1]
      if (seed === undefined) return []
      this.#known.add(name)
      return [{ data: readFileSync(join(this.#path, name)), seed: Number(seed) }]
    })
    return inputs.sort((a, b) => a.data.length - b.data.length)
  }

  /** Writes what is new. With `drops`, what is known here and is no longer needed goes; what another thread wrote meanwhile stays. */
  save(inputs: readonly Input[], drops: boolean): void {
    mkdirSync(this.#path, { recursive: true })
    const wanted = new Set<string>()
    for (const input of inputs) {
      const name = nameOf(input)
      wanted.add(name)
      if (this.#known.has(name)) continue
      writeFileSync(join(this.#path, name), input.data)
      this.#known.add(name)
    }
    if (!drops) return
    for (const name of this.#known) {
      if (wanted.has(name)) continue
      rmSync(join(this.#path, name), { force: true })
      this.#known.delete(name)
    }
  }
}

function nameOf({ data, seed }: Input): string {
  return `${seed}-${createHash('sha256').update(data).digest('hex').slice(0, 16)}.bin`
}
