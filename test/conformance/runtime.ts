import type { ExecutionContext } from 'ava'
import { addPod, type Host, type Pod } from '../../scripts/lab/lab.ts'
import { attemptAt } from '../../scripts/lab/place.ts'
import { sweepHost } from './case.ts'
import { type Execution, execute, executeAlone, type Outcome, usualPath } from './exec.ts'
import type { Attachment, Runtime } from './libcni.ts'
import { ourFolder } from './subjects.ts'

/** A runtime on a host, whose calls of our plugins are each seen to be one program. */
export function runtimeOn(host: Host, more: Partial<Runtime> = {}): Runtime {
  return {
    host,
    path: [ourFolder],
    cache: '/run/lab/results',
    env: { PATH: usualPath },
    execute: (where: Host, execution: Execution): Promise<Outcome> =>
      execution.path.startsWith(ourFolder)
        ? executeAlone(where, execution)
        : execute(where, execution),
    ...more,
  }
}

/** Namespaces of a test, gone after it with all that is on the host. */
export function podsOf(t: ExecutionContext, host: Host): (name: string) => Promise<Pod> {
  const names: string[] = []
  t.teardown(() => sweepHost(host, names))
  return async (name) => {
    names.push(name)
    return addPod(host, name)
  }
}

/** The attachment of a namespace's eth0. */
export function attachmentOf(pod: Pod, more: Partial<Attachment> = {}): Attachment {
  const containerId = pod.path.slice(pod.path.lastIndexOf('/') + 1)
  return { containerId, netns: pod.path, ifname: 'eth0', ...more }
}

/** Whether a place answers a ping. */
export async function answers(from: Pod | Host, address: string): Promise<boolean> {
  return (await attemptAt(from, ['ping', '-c1', '-W2', address])).code === 0
}
