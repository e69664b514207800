import { stableHash } from '../ip/hash.ts'

/**
 * Sixteen hex digits that stand for a text of any length and content in the name of an nftables
 * object.
 */
export function nameHash(text: string): string {
  return stableHash(text).toString(16).padStart(16, '0')
}

/** nft refuses a comment longer than this when a listing is loaded again. */
const COMMENT_LENGTH = 127

/**
 * The text as a comment that nft prints and reads back: kept if it is plain and short, otherwise
 * cut and made unique by its hash.
 */
export function commentText(text: string): string {
  if (text.length <= COMMENT_LENGTH && /^[\w.:/@ -]*$/.test(text)) return text
  const hash = nameHash(text)
  return `${text.replaceAll(/[^\w.:/@ -]/g, '_').slice(0, COMMENT_LENGTH - hash.length - 1)} ${hash}`
}
