/** Figures name a server `group/server`, or by its address alone where groups have no names. Addresses of socket files have slashes, too. */
export function splitServerName(name: string): readonly [group: string, server: string] {
  const end = name.indexOf('/')
  if (end < 0 || name.startsWith('unix:')) return ['default', name]
  return [name.slice(0, end), name.slice(end + 1)]
}
