/**
 * Build step: removes from build/ what was compiled from a source that is gone (deleted or renamed), so that neither a test nor the
 * package ever uses it. Removes compiler output only; anything else in build/ stays.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const build = join(root, 'build')
const names = existsSync(build) ? readdirSync(build, { recursive: true }) : []
for (const name of names) {
  const [, stem] = /^(.+?)\.(?:d\.ts|js|js\.map)$/.exec(name) ?? []
  if (stem !== undefined && !existsSync(join(root, `${stem}.ts`))) rmSync(join(build, name))
}
