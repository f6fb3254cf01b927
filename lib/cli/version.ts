/** The version of this package, as its package.json has it. */
import fs from 'node:fs'

export function readVersion(): string {
  // Three folders up from build/lib/cli, both in the repository and in an installed package.
  const { version } = JSON.parse(fs.readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}
