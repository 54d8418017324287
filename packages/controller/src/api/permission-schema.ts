// What a caller may be allowed, `VERB:ENVIRONMENT/SERVICE`. What covers what is decided in core/access.
import * as z from 'zod'

export const verbs = [
  'read',
  'read-values',
  'deploy',
  'rollback',
  'remove',
  'cancel',
  'lock',
  'apply',
  'agents',
  'environments',
  'webhooks',
  'registries',
  'tokens',
  'audit',
  'logs',
  'push-image',
  'pull-image'
] as const
export const verb = z.enum(verbs)
export type Verb = z.infer<typeof verb>

/** `VERB:ENVIRONMENT/SERVICE`; each part may be `*`. */
export const permission = z
  .string()
  .regex(
    new RegExp(`^(?:\\*|${verbs.join('|')}):(?:\\*|[a-z0-9_-]{1,63})/(?:\\*|[a-z0-9_-]{1,63})$`),
    'expected VERB:ENVIRONMENT/SERVICE, for example deploy:staging/api or read:*/*'
  )
export type Permission = z.infer<typeof permission>
