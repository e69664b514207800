import type { Rule } from '../netlink/nftables/rule.ts'

/** Whether the rule leads to this chain. */
export function jumpsTo({ expressions }: Rule, chain: string): boolean {
  return expressions.some(
    (expression) =>
      expression.name === 'immediate' && expression.attrs.data?.verdict?.chain === chain,
  )
}
