#!/usr/bin/env node
/**
 * The command `eproxy-raw`: reads the command line, prints or runs, and turns the result into an exit code: 0 done, 1 it could not run,
 * 2 it was called wrongly, 130 and 143 stopped at once by a second signal. The engine is loaded only when it is needed, so that help and
 * mistakes are answered without it.
 */
import { ConfigError } from '../config/problem.ts'
import { ProxyError } from '../core/errors.ts'
import { readCommandLine } from './flags.ts'
import { endProcess } from './terminal.ts'
import { readVersion } from './version.ts'

const exitCode = await main(process.argv.slice(2))
endProcess(exitCode)

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = await readCommandLine(args, helpColumns(), process.env)
    switch (command.kind) {
      case 'print':
        return await print(process.stdout, command.text)
      case 'version':
        return await print(process.stdout, await describeVersion())
      case 'check': {
        const { readConfigured } = command.config === undefined ? { readConfigured: undefined } : await import('./configured.ts')
        const warnings = readConfigured === undefined ? [] : readConfigured(command.config!).warnings
        for (const warning of [...command.warnings, ...warnings]) await complain(warning)
        return await print(
          process.stdout,
          `eproxy-raw: ${command.config?.path ?? 'the flags'} ${command.config === undefined ? 'are' : 'is'} valid\n`,
        )
      }
      case 'print-config': {
        for (const warning of command.warnings) await complain(warning)
        const { readConfigured } = await import('./configured.ts')
        return await print(process.stdout, await readConfigured(command.config).describe())
      }
      case 'print-schema': {
        const { printSchema } = await import('./configured.ts')
        return await print(process.stdout, await printSchema())
      }
      case 'misuse':
        await complain(command.message)
        return 2
      case 'list-cases': {
        const { listCases } = await import('./conformance.ts')
        return await print(process.stdout, listCases(command.patterns))
      }
      case 'conformance': {
        const { runConformance } = await import('./conformance.ts')
        return await runConformance(command.settings)
      }
      case 'explain': {
        const { explainRule, listRules } = await import('./explain.ts')
        const { paintFor } = await import('../conformance/paint.ts')
        const paint = paintFor(process.stdout)
        const texts = command.rules.map((rule) => explainRule(rule, paint))
        return await print(process.stdout, texts.length === 0 ? listRules(paint) : texts.join('\n'))
      }
      case 'routes': {
        const { describeRoutes } = await import('./routes.ts')
        const { loadConfiguration } = await import('../config/load.ts')
        const { paintFor } = await import('../conformance/paint.ts')
        const { configuration } = loadConfiguration({ path: command.path, overrides: [], environment: process.env })
        return await print(process.stdout, describeRoutes(configuration.service, command, paintFor(process.stdout)))
      }
      case 'top': {
        const { runTop } = await import('./top.ts')
        return await runTop(command.settings)
      }
      case 'run': {
        const { run } = await import('./run.ts')
        return await run(command.settings, command.config, command.warnings)
      }
    }
  } catch (error) {
    const messages = error instanceof ConfigError ? error.message.split('\n') : [error instanceof Error ? error.message : String(error)]
    for (const message of messages) await complain(message)
    return error instanceof ProxyError && error.code === 'ERR_EPROXY_OPTION' ? 2 : 1
  }
}

function helpColumns(): number {
  return process.stdout.isTTY ? Math.min(process.stdout.columns, 140) : 120
}

async function describeVersion(): Promise<string> {
  const { llhttpVersion } = await import('../../native-free-parser/index.ts')
  return `eproxy-raw ${readVersion()}, node ${process.versions.node}, llhttp ${llhttpVersion}\n`
}

/** One line, whatever is in it: arguments and paths are repeated in messages. */
async function complain(message: string): Promise<void> {
  const line = message.replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) =>
    control === '\n' ? ' ' : `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  await print(process.stderr, `eproxy-raw: ${line}\n`)
}

/** Resolves when the text is written, so that the exit does not cut it short; a reader that has gone (`--help | head -1`) is no failure. */
async function print(stream: NodeJS.WriteStream, text: string): Promise<0> {
  // Once for all that is printed: node takes many listeners for a leak, and says so in between.
  if (stream.listenerCount('error') === 0) stream.on('error', () => {})
  await new Promise<void>((resolve) => stream.write(text, () => resolve()))
  return 0
}
