import { setTimeout } from 'node:timers/promises'
import type { Lab } from './lab.ts'
import { startAt } from './place.ts'
import { run, until } from './run.ts'

/** A running capture on the switch. */
export interface Capture extends AsyncDisposable {
  /** The frames seen so far that match a pcap filter, one line each as tcpdump prints them. */
  lines(filter: string): Promise<string[]>
}

let captures = 0

/** Captures what passes a port of the switch (`host.port`) or a whole segment (`br0`). */
export async function capture(lab: Lab, device: string): Promise<Capture> {
  const base = `${lab.directory}/capture-${++captures}`
  // Without --immediate-mode tcpdump hands over a second's frames at a time, and the last not at all.
  const tcpdump = startAt(
    lab.switch,
    ['tcpdump', '--immediate-mode', '-Z', 'root', '-i', device, '-U', '-n', '-w', `${base}.pcap`],
    { logFile: `${base}.log` },
  )
  const isListening = () => tcpdump.log().includes('listening on') || !tcpdump.running()
  await until('tcpdump to listen', isListening, { timeoutMs: 10_000 })
  if (!tcpdump.running()) throw new Error(`tcpdump on ${device}: ${tcpdump.log()}`)
  return {
    async lines(filter) {
      // What has just arrived may not have come to tcpdump's file yet.
      await setTimeout(100)
      // -e for the frame's length; -T vxlan, since tcpdump takes port 8472 for OTV.
      const command = ['tcpdump', '-n', '-e', '-T', 'vxlan', '-r', `${base}.pcap`, filter] as const
      return (await run(command)).split('\n').filter((line) => line !== '')
    },
    [Symbol.asyncDispose]: async () => {
      await tcpdump.stop()
    },
  }
}
