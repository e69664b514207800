import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { daemonTableRef } from '../../firewall/daemon-table.ts'
import type { Connection } from '../../netlink/connection.ts'
import { NetlinkError } from '../../netlink/errors.ts'
import { listTables } from '../../netlink/nftables/table.ts'
import type { Settings } from '../settings/settings.ts'

/**
 * Whether this instance was ever here. Without that a subnet file and a device of flannel's name are
 * flannel's own.
 */
export function wasHere({ stateDir, instance }: Settings, netfilter: Connection): boolean {
  if (existsSync(join(stateDir, 'node-id'))) return true
  const { name } = daemonTableRef(instance)
  try {
    return netfilter.dump(listTables('inet')).some((table) => table.name === name)
  } catch (error) {
    // A kernel without nftables.
    if (!(error instanceof NetlinkError)) throw error
    return false
  }
}

/**
 * The process id of a flanneld in this network namespace: it has taken the host over, with device,
 * lease and files. One of ours by that name would hold the locks.
 */
export function findFlanneld(): number | undefined {
  const here = statSync('/proc/self/ns/net').ino
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => pid !== process.pid && isFlanneld(pid, here))
}

function isFlanneld(pid: number, netns: number): boolean {
  try {
    const isNamed = readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'flanneld'
    return isNamed && statSync(`/proc/${pid}/ns/net`).ino === netns
  } catch {
    // It has ended.
    return false
  }
}
