// The audit, entry by entry. It tells of every environment and every token: only `audit:*/*` covers it.
import * as z from 'zod'
import { auditQuery, auditView } from '../../../api/schemas.ts'
import type { RouteScope } from '../create-app.ts'

export const addAuditRoutes = ({ app, services: { audit } }: RouteScope): void => {
  app.get(
    '/v1/audit',
    {
      config: { access: { kind: 'needs', verb: 'audit', of: () => ({ environment: '*', service: '*' }) } },
      schema: { querystring: auditQuery, response: { 200: z.array(auditView) } }
    },
    (request) => audit(request.query)
  )
}
