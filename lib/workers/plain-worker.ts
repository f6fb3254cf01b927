/** What a worker of a group runs when the group names no module: a proxy whose log goes to the logger of the group. */
import { createProxy } from '../proxy.ts'
import { GroupMember } from './group-member.ts'

const member = await GroupMember.join()
try {
  await member.serve(createProxy({ ...member.options, logger: member.logger }))
} catch (error) {
  await member.fail(error)
  process.exit(1)
}
