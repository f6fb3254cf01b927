/** The token of the admin listener, from a file: on a command line everybody could read it. */
import fs from 'node:fs'
import { adminTokenForm, isAdminToken } from '../core/admin-token.ts'
import { misuse, quoteArgument } from './command-line.ts'

/** Throws ProxyError ERR_EPROXY_OPTION. */
export function readTokenFile(path: string): string {
  let token: string
  try {
    token = fs.readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw misuse(`--admin-token-file: cannot read ${quoteArgument(path)}: ${(error as Error).message}`)
  }
  if (isAdminToken(token)) return token
  throw misuse(`--admin-token-file: ${quoteArgument(path)} has to hold ${adminTokenForm}`)
}
