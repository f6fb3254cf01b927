/**
 * The example, as one command: three servers, a Redis where there is one, and the proxy with the file beside this; all end with Ctrl-C. What it prints
 * are things to try.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { join } from 'node:path'
import { parseFlags, runCommand, runInPlace, type RunPlace } from '../command.ts'
import { freePort } from '../e2e/start.ts'
import { exampleAddresses, type Places } from './places.ts'
import { Stage } from './stage.ts'

const usage = `Usage: npm run example -- [--any-ports]

  --any-ports   addresses that are free instead of those in bench/operate/example.yaml
  --help        this text
`

/** True: any ports. Null asks for the help text. Throws UsageError. */
function readOptions(args: readonly string[]): boolean | null {
  const { values } = parseFlags({ args: [...args], options: { help: { type: 'boolean' }, 'any-ports': { type: 'boolean' } } })
  return values.help === true ? null : values['any-ports'] === true
}

async function show(hasAnyPorts: boolean, { directory, processes, signal }: RunPlace): Promise<number> {
  const token = randomBytes(12).toString('hex')
  const accessLog = join(directory, 'access.log')
  const places: Places = hasAnyPorts ? await anyPlaces(accessLog) : { ...exampleAddresses, accessLog }
  const stage = new Stage(processes, { places, directory, token })
  await stage.start()
  process.stdout.write(describe(stage, token))
  await stage.proxy.exit
  if (!signal.aborted) throw new Error(`the proxy ended: ${stage.proxy.stderr.trim().slice(-500)}`)
  return 0
}

async function anyPlaces(accessLog: string): Promise<Places> {
  const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()))
  const [proxy, redis, admin, ...servers] = ports.map((port) => `127.0.0.1:${port}`)
  return { proxy: proxy!, redis: redis!, admin: admin!, servers, accessLog }
}

function describe({ places, hasRedis, configurationPath }: Stage, token: string): string {
  const { proxy, admin, servers, redis, accessLog } = places
  const store = hasRedis
    ? `Redis        ${redis}`
    : 'Redis        not installed (Debian package redis-server): each worker counts for itself'
  return `
proxy        http://${proxy}, two sites: shop.example and blog.example
servers      ${servers.join(', ')}
${store}
status       http://${admin}/
file         ${configurationPath}, a copy of bench/operate/example.yaml; what is changed in it takes effect at once
access log   ${accessLog}

Try
  curl -H 'Host: shop.example' http://${proxy}/api/items
  curl -H 'Host: blog.example' http://${proxy}/
  curl -i -H 'Host: www.shop.example' 'http://${proxy}/a?b=c'
  for i in 1 2 3 4 5 6 7; do curl -s -o /dev/null -w '%{http_code} ' -H 'Host: shop.example' http://${proxy}/login; done
  curl -X POST -H 'Authorization: Bearer ${token}' http://${admin}/servers/shop/${servers[0]}/drain
  curl http://${admin}/metrics

Ctrl-C ends all of it.
`
}

process.exitCode = await runCommand(usage, readOptions, async (hasAnyPorts) => {
  const exitCode = await runInPlace('example', (place) => show(hasAnyPorts, place))
  // It ends in no other way.
  return exitCode === 128 + constants.signals.SIGINT ? 0 : exitCode
})
