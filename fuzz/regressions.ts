/**
 * The folder of everything that ever went wrong: one file of bytes for each finding, named TARGET-NAME-SEED.bin after the target, what was
 * wrong, and the seed of the chance inside the run. A file is written when a campaign finds something, and stays for ever.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tryRun, type Finding } from './campaign.ts'
import type { FuzzTarget } from './target.ts'

/** In the sources, not in build/. */
export const regressionsFolder = fileURLToPath(new URL('../../fuzz/corpus/regressions/', import.meta.url))

/** Besides its own seed: the chance of a run is read in another way when the code of a target changes. */
const otherSeeds = 32

export interface Regression {
  readonly file: string
  readonly target: FuzzTarget
  readonly seed: number
  readonly data: Uint8Array
}

/** The path of the new file, or undefined when this is known already. */
export function writeRegression(folder: string, { target, signature, seed, data }: Finding): string | undefined {
  const words =
    signature
      .replace(/^[A-Za-z]+: /, '')
      .toLowerCase()
      .match(/[a-z]+/g) ?? []
  const prefix = `${target}-${words.slice(0, 6).join('-').slice(0, 60) || 'fault'}`
  mkdirSync(folder, { recursive: true })
  if (readdirSync(folder).some((name) => name.startsWith(`${prefix}-`) && /^[0-9]+\.bin$/.test(name.slice(prefix.length + 1))))
    return undefined
  const path = join(folder, `${prefix}-${seed}.bin`)
  writeFileSync(path, data)
  return path
}

/** All files of a folder. Throws for one whose name says nothing. */
export function loadRegressions(folder: string, targets: readonly FuzzTarget[]): Regression[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((file) => file.endsWith('.bin'))
    .sort()
    .map((file) => {
      const target = targets.find(({ name }) => file.startsWith(`${name}-`))
      const seed = /-([0-9]+)\.bin$/.exec(file)?.[1]
      if (target === undefined || seed === undefined)
        throw new Error(`${file}: the name is not TARGET-NAME-SEED.bin with a target of the registry`)
      return { file, target, seed: Number(seed), data: readFileSync(join(folder, file)) }
    })
}

/** What still goes wrong; undefined when all is well. */
export function replay({ target, seed, data }: Regression): Error | undefined {
  for (let other = -1; other < otherSeeds; other++) {
    const error = tryRun(target, data, other < 0 ? seed : other)
    if (error !== undefined) return error
  }
  return undefined
}
