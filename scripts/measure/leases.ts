import type { Address } from '../../ip/address.ts'
import { formatAddress } from '../../ip/address.ts'
import { EtcdChannel } from '../../store/etcd/etcd-channel.ts'
import { parseEndpoint } from '../../store/etcd/etcd-endpoint.ts'
import { methods } from '../../store/etcd/etcd-messages.ts'

/** The network that the leases below are in; the lab's own addresses are outside. */
export const network = '10.128.0.0/9'
const firstSubnet = 0x0a800100
const firstHost = 0xac100001
const ttlSeconds = 86_400

/** A lease of a host that is not there. */
export interface FakeLease {
  /** The last part of its key. */
  readonly key: string
  /** `10.128.1.0/24` */
  readonly subnet: string
  readonly mac: string
  readonly value: string
}

/** Host `index` of many, as it is after `moves` times that it got another address and device. */
export function fakeLease(index: number, moves = 0): FakeLease {
  const base = text(firstSubnet + index * 256)
  const serial = moves * 0x10000 + index
  const octets = [24, 16, 8, 0].map((shift) => (serial >>> shift) & 255)
  const mac = ['0e', '11', ...octets.map((octet) => octet.toString(16).padStart(2, '0'))].join(':')
  const value = JSON.stringify({
    PublicIP: text(firstHost + serial),
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: mac },
    NodeID: `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
  })
  return { key: `${base}-24`, subnet: `${base}/24`, mac, value }
}

function text(value: number): string {
  const address: Address = { family: 4, value: BigInt(value) }
  return formatAddress(address)
}

/** Writes leases into an etcd as fast as it takes them; they all end with one lease of etcd's. */
export class LeaseWriter implements Disposable {
  readonly #channel: EtcdChannel
  readonly #prefix: string
  readonly #lease: bigint

  private constructor(channel: EtcdChannel, prefix: string, lease: bigint) {
    this.#channel = channel
    this.#prefix = prefix
    this.#lease = lease
  }

  static async open(url: string, prefix = '/coreos.com/network'): Promise<LeaseWriter> {
    const endpoint = parseEndpoint(url, undefined, 'etcd')
    const silent = { debug() {}, info() {}, warn() {}, error() {} }
    const channel = new EtcdChannel('etcd', [endpoint], undefined, silent)
    const { id = 0n } = await channel.call(methods.leaseGrant, { ttl: ttlSeconds })
    return new LeaseWriter(channel, `${prefix}/subnets/`, id)
  }

  /** Returns when it is committed. */
  async put({ key, value }: FakeLease): Promise<void> {
    const put = { key: this.#prefix + key, value, lease: this.#lease }
    await this.#channel.call(methods.txn, { success: [{ put }] })
  }

  async delete(key: string): Promise<void> {
    await this.#channel.call(methods.txn, {
      success: [{ deleteRange: { key: this.#prefix + key } }],
    })
  }

  /** The leases of hosts `from` to below `to`. */
  async fill(from: number, to: number): Promise<void> {
    let next = from
    const worker = async (): Promise<void> => {
      while (next < to) await this.put(fakeLease(next++))
    }
    await Promise.all(Array.from({ length: 64 }, worker))
  }

  [Symbol.dispose](): void {
    this.#channel.close()
  }
}
