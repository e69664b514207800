// Made from conf/feature-conf.schema.json by scripts/gen-conf.ts; change the schema, not this file.
import type { ErrorObject } from 'ajv'
export function validate(data: unknown): boolean
export namespace validate {
  let errors: ErrorObject[] | null | undefined
}
export default validate
