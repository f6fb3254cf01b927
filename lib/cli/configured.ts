/** Settings of the command from a configuration file and what goes before it. With it come zod and yaml, so it is loaded only for a file. */
import type { Configuration } from '../config/configuration.ts'
import { loadConfiguration } from '../config/load.ts'
import type { ConfigRequest, Settings } from './flags.ts'

export interface Configured {
  readonly settings: Settings
  readonly warnings: readonly string[]
  /** Of the file. */
  readonly text: string
  /** As a file would have it, with where each value comes from and without secrets. */
  describe(): Promise<string>
}

/** Throws ConfigError. */
export function readConfigured(request: ConfigRequest): Configured {
  const loaded = loadConfiguration(request)
  const { configuration, text } = loaded
  return {
    settings: toSettings(configuration),
    warnings: configuration.warnings,
    text,
    describe: async () => {
      const { printConfiguration } = await import('../config/print.ts')
      return printConfiguration(loaded, request.overrides)
    },
  }
}

export async function printSchema(): Promise<string> {
  const { jsonSchema } = await import('../config/keys.ts')
  return `${JSON.stringify(jsonSchema(), undefined, 2)}\n`
}

function toSettings({ service, engine, workers, supervision, logLevel, logFormat, accessLog, admin }: Configuration): Settings {
  return {
    listen: service.listeners.map(({ address }) => address),
    options: { ...engine, service },
    workers,
    supervision,
    logLevel,
    logFormat,
    accessLog,
    ...(admin !== undefined && { admin }),
  }
}
