/**
 * The proxies of the bench as rows: how each is found, configured and started. All do the same job: HTTP/1.1 to one upstream over kept-alive
 * connections, Host preserved, no access log, bodies streamed and not spooled to disk. Configurations are written to the
 * directory of the run. This file starts nothing; it returns command lines.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PeerContext {
  readonly port: number
  readonly upstreamPort: number
  /** For generated configuration and scratch files; removed at the end of the run. */
  readonly directory: string
}

export interface CommandLine {
  readonly command: string
  readonly args: readonly string[]
  readonly withChannel: boolean
}

export type Presence = { readonly kind: 'present'; readonly version: string } | { readonly kind: 'missing'; readonly why: string }

export interface Peer {
  readonly name: string
  /** Native proxies are one yardstick: eproxy is compared with the better of them. */
  readonly kind: 'subject' | 'native' | 'node' | 'floor'
  find(): Presence
  prepare(context: PeerContext): CommandLine
}

const cliPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
const require = createRequire(import.meta.url)

export const peerTable: readonly Peer[] = [
  {
    name: 'eproxy',
    kind: 'subject',
    find: () =>
      isReadable(cliPath)
        ? { kind: 'present', version: `${ownVersion()}, ${nodeVersionText}` }
        : { kind: 'missing', why: 'lib/cli/main.js is not built' },
    prepare: ({ port, upstreamPort }) => ({
      command: process.execPath,
      args: [cliPath, '--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${upstreamPort}`, '--log-level', 'silent'],
      withChannel: false,
    }),
  },
  {
    name: 'nginx',
    kind: 'native',
    find: () => findProgram('nginx', ['-v'], /nginx\/\S+/),
    prepare: (context) => {
      const path = join(context.directory, 'nginx.conf')
      writeFileSync(path, nginxConfig(context))
      return { command: programPath('nginx')!, args: ['-p', context.directory, '-c', path, '-e', 'stderr'], withChannel: false }
    },
  },
  {
    name: 'haproxy',
    kind: 'native',
    find: () => findProgram('haproxy', ['-v'], /version (\S+)/),
    prepare: (context) => {
      const path = join(context.directory, 'haproxy.cfg')
      writeFileSync(path, haproxyConfig(context))
      return { command: programPath('haproxy')!, args: ['-db', '-q', '-f', path], withChannel: false }
    },
  },
  {
    name: 'fastify',
    kind: 'node',
    find: () => {
      const fastifyVersion = packageVersion('fastify')
      const proxyVersion = packageVersion('@fastify/http-proxy')
      if (fastifyVersion === null || proxyVersion === null)
        return { kind: 'missing', why: 'the packages fastify and @fastify/http-proxy are not installed' }
      return { kind: 'present', version: `@fastify/http-proxy ${proxyVersion}, fastify ${fastifyVersion}, ${nodeVersionText}` }
    },
    prepare: (context) => ownPeer('fastify', context),
  },
  {
    name: 'net-pipe',
    kind: 'floor',
    find: () => ({ kind: 'present', version: `no HTTP, ${nodeVersionText}` }),
    prepare: (context) => ownPeer('net-pipe', context),
  },
]

const nodeVersionText = `node ${process.version}`

function ownVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version: unknown }).version)
}

/** Each of our own peers runs under the very node binary that runs eproxy. */
function ownPeer(name: string, { port, upstreamPort }: PeerContext): CommandLine {
  const path = fileURLToPath(new URL(`./peers/${name}.js`, import.meta.url))
  return { command: process.execPath, args: [path, String(port), String(upstreamPort)], withChannel: true }
}

/** Where a program of that name is, or null. Servers stand in sbin, which is not in the PATH of every user. */
export function programPath(name: string): string | null {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin']
  return directories.map((directory) => join(directory, name)).find((path) => isReadable(path, constants.X_OK)) ?? null
}

function findProgram(name: string, versionArgs: readonly string[], pattern: RegExp): Presence {
  const path = programPath(name)
  if (path === null) return { kind: 'missing', why: `there is no program ${name} on this machine` }
  // nginx prints its version on stderr, haproxy on stdout.
  const text = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', path, ...versionArgs], { encoding: 'latin1' })
  const match = pattern.exec(text)
  return { kind: 'present', version: match?.[1] ?? match?.[0] ?? 'unknown version' }
}

function packageVersion(name: string): string | null {
  try {
    // Not through `exports`, which need not list package.json.
    const directory = require.resolve
      .paths(name)!
      .map((path) => join(path, name))
      .find((path) => isReadable(join(path, 'package.json')))
    return directory === undefined
      ? null
      : String((JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { version: unknown }).version)
  } catch {
    return null
  }
}

function isReadable(path: string, mode = constants.R_OK): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

/**
 * One worker that keeps all the upstream connections it opened. Request buffering is off and responses never go to a file, since the
 * others stream, too; every other buffer has its default. Started by root, nginx would switch to a user that cannot enter the directory of the run.
 */
function nginxConfig({ port, upstreamPort, directory }: PeerContext): string {
  return `
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr error;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 19000; }
http {
  access_log off;
  client_body_temp_path ${directory}/nginx-body;
  proxy_temp_path ${directory}/nginx-proxy;
  fastcgi_temp_path ${directory}/nginx-fastcgi;
  uwsgi_temp_path ${directory}/nginx-uwsgi;
  scgi_temp_path ${directory}/nginx-scgi;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream origin {
    server 127.0.0.1:${upstreamPort} max_fails=0;
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }
  }
}
`
}

function haproxyConfig({ port, upstreamPort }: PeerContext): string {
  return `
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  no log
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  option http-keep-alive
  http-reuse always
frontend bench
  bind 127.0.0.1:${port} backlog 1024
  default_backend origin
backend origin
  server origin 127.0.0.1:${upstreamPort}
`
}
