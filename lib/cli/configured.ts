/** Settings of the command from a configuration file and what goes before it. With it come zod and yaml, so it is loaded only for a file. */
import type { Configuration } from '../config/configuration.ts'
import { loadConfiguration, type Loaded } from '../config/load.ts'
import type { ConfigRequest, Settings } from './flags.ts'

export interface Configured {
  readonly settings: Settings
  readonly warnings: readonly string[]
  /** Of the file. */
  readonly text: string
}

/** Throws ConfigError. */
export function readConfigured(request: ConfigRequest): Configured {
  const { configuration, text } = loadConfiguration(request)
  return { settings: toSettings(configuration), warnings: configuration.warnings, text }
}

/** Throws ConfigError. */
export async function printConfigured(request: ConfigRequest): Promise<string> {
  const { printConfiguration } = await import('../config/print.ts')
  const loaded: Loaded = loadConfiguration(request)
  return printConfiguration(loaded, request.overrides)
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
