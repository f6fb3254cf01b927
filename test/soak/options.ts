/** The command line of the soak. */
import { parseArgs } from 'node:util'
import { parseDuration } from '../../lib/core/units.ts'
import { defectTable } from './defects.ts'
import type { SoakOptions } from './run.ts'

export interface Command {
  readonly soak: SoakOptions
  readonly jsonPath: string | null
}

export const usage = `Usage: npm run soak -- [options]

  --time TIME     how long, such as 2m (default 10m); a few seconds more pass until everything is at rest
  --clients N     at once, of all kinds, 10 to 20000 (default 1000)
  --seed N        for the choices of everybody (default 1)
  --json FILE     writes the figures to FILE
  --plant DEFECT  with a fault in the engine, which has to be found:
${defectTable.map(({ name, what }) => `                    ${name.padEnd(15)} ${what}`).join('\n')}
  --help          this text

Exit code 0: clean. 1: not clean. 2: wrong command line. 130 and the like: interrupted.
`

/** Null asks for the help text. Throws for what it does not understand. */
export function readCommand(args: readonly string[]): Command | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      time: { type: 'string', default: '10m' },
      clients: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '1' },
      json: { type: 'string' },
      plant: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) return null
  const timeMs = parseDuration(values.time)
  if (timeMs < 1_000) throw new Error(`--time must be a second or more, not ${values.time}`)
  if (values.plant !== undefined && !defectTable.some(({ name }) => name === values.plant))
    throw new Error(`--plant does not know ${JSON.stringify(values.plant)}; there are ${defectTable.map(({ name }) => name).join(', ')}`)
  return {
    soak: {
      timeMs,
      clients: readWhole('--clients', values.clients, 10, 20_000),
      seed: readWhole('--seed', values.seed, 0, 1_000_000),
      plant: values.plant ?? null,
    },
    jsonPath: values.json ?? null,
  }
}

function readWhole(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max)
    throw new Error(`${flag} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
  return value
}
