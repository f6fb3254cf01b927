/** Names of groups and servers as figures have them, and as people see them: a proxy without named groups has one that is called 'default'. */

const onlyGroup = 'default'

/** Figures name a server `group/server`, or by its address alone where groups have no names. Addresses of socket files have slashes, too. */
export function splitServerName(name: string): readonly [group: string, server: string] {
  const end = name.indexOf('/')
  if (end < 0 || name.startsWith('unix:')) return [onlyGroup, name]
  return [name.slice(0, end), name.slice(end + 1)]
}

export function labelGroup(name: string): string {
  return name === '' ? onlyGroup : name
}

/** What a label may stand for: a group may have been given that very name. */
export function namesOfLabel(label: string): readonly string[] {
  return label === onlyGroup ? [label, ''] : [label]
}
