/** Apache httpd as an origin: serves files, takes PUT (WebDAV), compresses, and says in each response on which connection it came. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServerProgram } from './program.ts'
import { TemporaryFolder } from './temporary-folder.ts'

const moduleFolder = '/usr/lib/apache2/modules'
const modules = ['mpm_event', 'authz_core', 'mime', 'filter', 'deflate', 'headers', 'dav', 'dav_fs']

/** Why Apache cannot be used although it is installed; false when it can. */
export function lacksApacheModules(): string | false {
  const missing = modules.filter((name) => !existsSync(join(moduleFolder, `mod_${name}.so`)))
  return missing.length === 0 ? false : `apache2 has no ${missing.join(', ')} in ${moduleFolder}`
}

export interface ApacheOptions {
  /** Requests after which Apache closes a connection; 0 for any number. */
  readonly requestsOfConnection?: number
}

export class Apache implements AsyncDisposable {
  readonly #folder: TemporaryFolder
  readonly #program: ServerProgram

  private constructor(folder: TemporaryFolder, program: ServerProgram) {
    this.#folder = folder
    this.#program = program
  }

  /** `files` are served by their names; `/upload/NAME` takes PUT. */
  static async start(files: Readonly<Record<string, Buffer>>, { requestsOfConnection = 0 }: ApacheOptions = {}): Promise<Apache> {
    const folder = new TemporaryFolder()
    try {
      for (const name of ['www', 'www/upload', 'locks']) mkdirSync(folder.file(name))
      // Started by root, it gives root up.
      for (const name of ['www/upload', 'locks']) chmodSync(folder.file(name), 0o777)
      for (const [name, content] of Object.entries(files)) writeFileSync(folder.file(join('www', name)), content)
      writeFileSync(folder.file('mime.types'), '')
      const program = await ServerProgram.start('apache2', (port) => {
        writeFileSync(folder.file('apache.conf'), makeConfig(folder.path, port, requestsOfConnection))
        return ['-X', '-f', folder.file('apache.conf')]
      })
      return new Apache(folder, program)
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
    return this.#folder.file(join('www', 'upload', name))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }
}

/** One process (-X); nothing outside the folder is written. */
function makeConfig(folder: string, port: number, requestsOfConnection: number): string {
  return `
ServerRoot ${folder}
ServerName 127.0.0.1
DefaultRuntimeDir ${folder}
PidFile ${folder}/apache.pid
ErrorLog ${folder}/error.log
Listen 127.0.0.1:${port}
${modules.map((name) => `LoadModule ${name}_module ${moduleFolder}/mod_${name}.so`).join('\n')}
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
TypesConfig ${folder}/mime.types
AddType text/plain txt
DocumentRoot ${folder}/www
KeepAlive On
KeepAliveTimeout 30
MaxKeepAliveRequests ${requestsOfConnection}
Header always set X-Connection "expr=%{REMOTE_PORT}"
SetOutputFilter DEFLATE
DavLockDB ${folder}/locks/lock
<Directory ${folder}/www>
  Require all granted
</Directory>
<Directory ${folder}/www/upload>
  Dav On
</Directory>
`
}
