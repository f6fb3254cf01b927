/** nginx as an origin: serves files, takes PUT, compresses, and says in each response on which connection it came. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServerProgram } from './program.ts'
import { TemporaryFolder } from './temporary-folder.ts'

export interface NginxOptions {
  /** Requests after which nginx closes a connection. */
  readonly requestsOfConnection?: number
}

export class Nginx implements AsyncDisposable {
  readonly #folder: TemporaryFolder
  readonly #program: ServerProgram

  private constructor(folder: TemporaryFolder, program: ServerProgram) {
    this.#folder = folder
    this.#program = program
  }

  /** `files` are served by their names; `/upload/NAME` takes PUT; `/small/` takes bodies of 1 KiB at most. */
  static async start(files: Readonly<Record<string, Buffer>>, { requestsOfConnection = 10_000 }: NginxOptions = {}): Promise<Nginx> {
    const folder = new TemporaryFolder()
    try {
      for (const name of ['www', 'upload', 'temporary']) mkdirSync(folder.file(name))
      for (const [name, content] of Object.entries(files)) writeFileSync(folder.file(join('www', name)), content)
      const program = await ServerProgram.start('nginx', (port) => {
        writeFileSync(folder.file('nginx.conf'), makeConfig(folder.path, port, requestsOfConnection))
        return ['-p', folder.path, '-e', folder.file('error.log'), '-c', folder.file('nginx.conf')]
      })
      return new Nginx(folder, program)
    } catch (error) {
      folder[Symbol.dispose]()
      throw error
    }
  }

  /** As an upstream of the proxy. */
  get address(): string {
    return `127.0.0.1:${this.#program.port}`
  }

  /** Where `/upload/NAME` lies. */
  uploadedFile(name: string): string {
    return this.#folder.file(join('upload', name))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }
}

/** One process, which keeps the rights of whoever starts it; nothing outside the folder is written. */
function makeConfig(folder: string, port: number, requestsOfConnection: number): string {
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/temporary/${kind};`,
  )
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
events { worker_connections 512; }
http {
  ${temporaryPaths.join('\n  ')}
  access_log off;
  types { text/plain txt; text/html html; }
  default_type application/octet-stream;
  sendfile on;
  keepalive_timeout 30s;
  keepalive_requests ${requestsOfConnection};
  client_max_body_size 0;
  gzip on;
  gzip_proxied any;
  gzip_min_length 1;
  gzip_types text/plain;
  server {
    listen 127.0.0.1:${port};
    root ${folder}/www;
    add_header X-Connection $connection always;
    location /upload/ { root ${folder}; dav_methods PUT; }
    location /small/ { client_max_body_size 1k; root ${folder}; dav_methods PUT; }
  }
}
`
}
