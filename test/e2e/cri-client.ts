import { Client, credentials } from '@grpc/grpc-js'
import {
  decodeMessage,
  encodeMessage,
  int,
  type Message,
  message,
  type Table,
  text,
} from '../../store/etcd/protobuf.ts'

/*
 * The part of the Container Runtime Interface that the tests speak: kubernetes/cri-api,
 * pkg/apis/runtime/v1/api.proto. A map is a list of its entries there.
 */

const entry = { key: { field: 1, wire: text }, value: { field: 2, wire: text } } as const

const metadata = {
  name: { field: 1, wire: text },
  uid: { field: 2, wire: text },
  namespace: { field: 3, wire: text },
} as const

const portMapping = {
  /** `criProtocols` */
  protocol: { field: 1, wire: int },
  containerPort: { field: 2, wire: int },
  hostPort: { field: 3, wire: int },
  hostIp: { field: 4, wire: text },
} as const

/** Values of `PortMapping.protocol`. */
export const criProtocols = { tcp: 0, udp: 1, sctp: 2 } as const

const sandboxConfig = {
  metadata: { field: 1, wire: message(metadata) },
  hostname: { field: 2, wire: text },
  portMappings: { field: 5, wire: message(portMapping), repeated: true },
  annotations: { field: 7, wire: message(entry), repeated: true },
  linux: { field: 8, wire: message({}) },
} as const
export type SandboxConfig = Message<typeof sandboxConfig>

const sandboxId = { podSandboxId: { field: 1, wire: text } } as const
const runRequest = { config: { field: 1, wire: message(sandboxConfig) } } as const

const networkStatus = {
  ip: { field: 1, wire: text },
  additionalIps: { field: 2, wire: message({ ip: { field: 1, wire: text } }), repeated: true },
} as const

/** `verbose` answers `info`, whose entry `info` is JSON that names the sandbox's namespaces. */
const statusRequest = { ...sandboxId, verbose: { field: 2, wire: int } } as const
const statusResponse = {
  status: { field: 1, wire: message({ network: { field: 5, wire: message(networkStatus) } }) },
  info: { field: 2, wire: message(entry), repeated: true },
} as const

const condition = {
  type: { field: 1, wire: text },
  status: { field: 2, wire: int },
  message: { field: 4, wire: text },
} as const
const runtimeStatus = {
  conditions: { field: 1, wire: message(condition), repeated: true },
} as const

/** What the tests ask of a container runtime. Fails with the server's `details`. */
export interface Cri extends Disposable {
  /** Whether the network is ready, and why not. */
  networkReady(): Promise<{ ready: boolean; reason: string }>
  /** Starts a pod's sandbox: ADD. Its id. */
  run(config: SandboxConfig): Promise<string>
  /** The addresses of a pod and the path of its network namespace. */
  status(id: string): Promise<{ addresses: readonly string[]; netns: string }>
  stop(id: string): Promise<void>
  remove(id: string): Promise<void>
}

/** Connects to a runtime's socket. */
export function connectCri(socket: string): Cri {
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  const call = <Q extends Table, R extends Table>(
    method: string,
    tables: [Q, R],
    request: Message<Q>,
  ) => unary(client, method, tables, request)
  return {
    async networkReady() {
      const tables: [object, typeof statusTable] = [{}, statusTable]
      const { status } = await call('Status', tables as [Table, typeof statusTable], {})
      const network = status?.conditions?.find(({ type }) => type === 'NetworkReady')
      return { ready: network?.status === 1, reason: network?.message ?? '' }
    },
    async run(config) {
      const { podSandboxId } = await call('RunPodSandbox', [runRequest, sandboxId], { config })
      return podSandboxId ?? ''
    },
    async status(podSandboxId) {
      const request = { podSandboxId, verbose: 1 }
      const { status, info } = await call(
        'PodSandboxStatus',
        [statusRequest, statusResponse],
        request,
      )
      const network = status?.network
      const others = network?.additionalIps?.map(({ ip }) => ip ?? '') ?? []
      return { addresses: [network?.ip ?? '', ...others], netns: netnsIn(info ?? []) }
    },
    async stop(podSandboxId) {
      await call('StopPodSandbox', [sandboxId, {}], { podSandboxId })
    },
    async remove(podSandboxId) {
      await call('RemovePodSandbox', [sandboxId, {}], { podSandboxId })
    },
    [Symbol.dispose]: () => client.close(),
  }
}

const statusTable = { status: { field: 1, wire: message(runtimeStatus) } } as const

function netnsIn(info: readonly Message<typeof entry>[]): string {
  const json = info.find(({ key }) => key === 'info')?.value ?? '{}'
  const { runtimeSpec } = JSON.parse(json) as {
    runtimeSpec?: { linux?: { namespaces?: { type: string; path?: string }[] } }
  }
  return runtimeSpec?.linux?.namespaces?.find(({ type }) => type === 'network')?.path ?? ''
}

function unary<Q extends Table, R extends Table>(
  client: Client,
  method: string,
  [query, response]: [Q, R],
  request: Message<Q>,
): Promise<Message<R>> {
  const path = `/runtime.v1.RuntimeService/${method}`
  const encode = (value: Message<Q>) => Buffer.from(encodeMessage(query, value))
  const decode = (data: Buffer) => decodeMessage(response, data)
  const deadline = Date.now() + 60_000
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, encode, decode, request, { deadline }, (error, value) => {
      if (error || value === undefined) reject(error ?? new Error(`${method}: no answer`))
      else resolve(value)
    })
  })
}
