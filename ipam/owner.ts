/** Whose an address is: upstream knows a container interface by these two. */
export interface Owner {
  readonly containerId: string
  readonly ifname: string
}

/** What a reservation's file holds, to the byte: upstream releases nothing that differs. */
export function formatOwner({ containerId, ifname }: Owner): string {
  return `${containerId}\r\n${ifname}`
}

/** `exact`: this container interface. `id`: a file of host-local before 0.8, which named no interface. */
export type Ownership = 'exact' | 'id' | 'none'

/** How a reservation's text, which may have blanks around it, relates to an owner. */
export function ownership(content: string, owner: Owner): Ownership {
  const text = content.trim()
  if (text === formatOwner(owner)) return 'exact'
  return text === owner.containerId ? 'id' : 'none'
}
