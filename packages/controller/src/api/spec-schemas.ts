// Specs over HTTP: applied, compared, read back by revision.
import { environmentName, serviceName, serviceSpec } from '@longshore/protocol'
import * as z from 'zod'

export const applyRequest = z.object({ spec: serviceSpec, dryRun: z.boolean().default(false) })
export const specChange = z.object({
  /** Path in the spec, `environment.NODE_ENV`. */
  path: z.string(),
  /** Left out of the JSON where the spec had nothing there. */
  before: z.unknown().optional(),
  after: z.unknown().optional()
})
export type SpecChange = z.infer<typeof specChange>
export const applyAnswer = z.object({
  service: serviceName,
  environment: environmentName,
  revision: z.int().min(0),
  isChanged: z.boolean(),
  changes: z.array(specChange)
})
export type ApplyAnswer = z.infer<typeof applyAnswer>
export const specView = z.object({
  service: serviceName,
  environment: environmentName,
  revision: z.int().min(1),
  appliedAtMs: z.int(),
  appliedBy: z.string(),
  spec: serviceSpec,
  /** Values of `environment` are hashes, see docs/access.md. A controller of the version before hides none. */
  isHidden: z.boolean().default(false)
})
export type SpecView = z.infer<typeof specView>
