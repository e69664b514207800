const INITIAL_SIZE = 4096

/**
 * A growing buffer that messages are written into. Wires call the method that names their width
 * and byte order: plain is the machine's own (every target heddle is built for is little-endian),
 * `be` is the network's.
 */
export class Writer {
  #bytes = new Uint8Array(INITIAL_SIZE)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  /** How many bytes are written. */
  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    const at = this.#take(1)
    this.#view.setUint8(at, value)
  }

  u16(value: number): void {
    const at = this.#take(2)
    this.#view.setUint16(at, value, true)
  }

  u16be(value: number): void {
    const at = this.#take(2)
    this.#view.setUint16(at, value)
  }

  u32(value: number): void {
    const at = this.#take(4)
    this.#view.setUint32(at, value, true)
  }

  u32be(value: number): void {
    const at = this.#take(4)
    this.#view.setUint32(at, value)
  }

  u64(value: bigint): void {
    const at = this.#take(8)
    this.#view.setBigUint64(at, value, true)
  }

  u64be(value: bigint): void {
    const at = this.#take(8)
    this.#view.setBigUint64(at, value)
  }

  bytes(value: Uint8Array): void {
    const at = this.#take(value.length)
    this.#bytes.set(value, at)
  }

  /** Zero bytes. */
  zeros(count: number): void {
    const at = this.#take(count)
    this.#bytes.fill(0, at, at + count)
  }

  /** Writes over two bytes that are already there. */
  setU16(at: number, value: number): void {
    this.#view.setUint16(at, value, true)
  }

  /** Removes and returns a copy of everything from `start` on. */
  cut(start: number): Uint8Array {
    const bytes = this.#bytes.slice(start, this.#length)
    this.#length = start
    return bytes
  }

  /** Forgets everything from `start` on. */
  truncate(start: number): void {
    this.#length = start
  }

  /** Makes room. To be called before `#bytes` or `#view` is looked at, which growing replaces. */
  #take(count: number): number {
    const at = this.#length
    this.#length = at + count
    if (this.#length > this.#bytes.length) this.#grow()
    return at
  }

  #grow(): void {
    const bytes = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
    bytes.set(this.#bytes)
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }
}

const scratch = new Writer()

/**
 * Runs `write` on a shared writer and returns what it wrote. Sound because a write is synchronous;
 * one inside another continues behind it and takes its own part away again.
 */
export function encode(write: (out: Writer) => void): Uint8Array {
  const start = scratch.length
  try {
    write(scratch)
    return scratch.cut(start)
  } finally {
    scratch.truncate(start)
  }
}
