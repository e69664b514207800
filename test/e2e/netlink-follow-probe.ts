/**
 * Follows the kernel of the namespace it is started in and prints a line for each thing it hears.
 * The line `deaf` on its standard input makes it hear no more, any other ends it. Runs under Bun,
 * which the system calls need.
 */
import { createInterface } from 'node:readline'
import { decodeEvents, groups } from '../../netlink/events.ts'
import { decodeRulesetEvents, NFTABLES_GROUP } from '../../netlink/nftables/events.ts'
import { followNetlink } from '../../sys/netlink-events.ts'

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

const route = followNetlink('route', Object.values(groups), {
  onDatagram(datagram) {
    for (const event of decodeEvents(datagram)) {
      if (event.kind === 'link') say(`link ${event.link.name} ${event.gone ? 'gone' : 'there'}`)
    }
  },
  onLost: (error) => say(`route lost: ${error.message.split(':')[0]}`),
})
const ruleset = followNetlink('netfilter', [NFTABLES_GROUP], {
  onDatagram(datagram) {
    for (const event of decodeRulesetEvents(datagram)) {
      if (event.kind === 'generation') say('ruleset changed')
      else say(`${event.kind} in ${event.family} ${event.table} ${event.gone ? 'gone' : 'there'}`)
    }
  },
  onLost: (error) => say(`ruleset lost: ${error.message.split(':')[0]}`),
})
say('ready')

for await (const line of createInterface(process.stdin)) {
  if (line !== 'deaf') break
  route[Symbol.dispose]()
  ruleset[Symbol.dispose]()
  say('deaf')
}
// The sockets alone would keep the process.
process.exit(0)
