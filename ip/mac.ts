declare const macBrand: unique symbol

/** A 48-bit MAC address as lower-case colon text, for example `0e:00:00:00:00:01`. */
export type Mac = string & { readonly [macBrand]: true }

/** Reads six hex octets parted by `:` or `-`, as Go's net.ParseMAC does; undefined otherwise. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[\da-f]{2}(?:(?::[\da-f]{2}){5}|(?:-[\da-f]{2}){5})$/i.test(text)) return undefined
  return text.toLowerCase().replaceAll('-', ':') as Mac
}

/** Six bytes, freshly allocated. */
export function macToBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6)
  for (let at = 0; at < 6; at++) bytes[at] = Number.parseInt(mac.slice(3 * at, 3 * at + 2), 16)
  return bytes
}

/** Reads six bytes; undefined for any other length. */
export function macFromBytes(bytes: Uint8Array): Mac | undefined {
  if (bytes.length !== 6) return undefined
  let text = ''
  for (const octet of bytes) text += `:${octet < 16 ? '0' : ''}${octet.toString(16)}`
  return text.slice(1) as Mac
}

/**
 * Makes a locally administered unicast MAC (IEEE 802, bits 0x02 set and 0x01 clear in the first
 * octet) from six bytes, usually random ones.
 */
export function localMac(bytes: Uint8Array): Mac {
  const octets = bytes.slice(0, 6)
  octets[0] = ((octets[0] ?? 0) & 0xfe) | 0x02
  const mac = macFromBytes(octets)
  if (!mac)
    throw new RangeError(`Cannot make a MAC address of ${bytes.length} bytes: six are needed`)
  return mac
}
