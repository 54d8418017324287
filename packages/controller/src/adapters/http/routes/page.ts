// The page for operators: files that were built before, served as they are. Everything it shows it asks from the API.
import type { RouteScope } from '../create-app.ts'

const open = { config: { access: { kind: 'open' as const, because: 'the page holds no data' } } }

/**
 * Content Security Policy level 3: nothing but this controller's own files and API; no inline script, no frames.
 * `style-src-attr`: positions of a virtual list are attributes.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join('; ')

const headers = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin'
}

const missing = 'This controller was started without its page. In a checkout, build it: npm run bundle\n'

export const addPageRoutes = ({ app, services: { page } }: RouteScope): void => {
  const hide = { ...open, schema: { hide: true } }
  app.get('/', hide, async (_request, reply) => {
    const index = page.get('index.html')
    reply.headers(headers).header('cache-control', 'no-cache')
    if (index === undefined) return reply.code(404).type('text/plain; charset=utf-8').send(missing)
    return reply.type(index.type).send(index.content)
  })
  app.get<{ Params: { name: string } }>('/page/:name', hide, async (request, reply) => {
    const file = page.get(request.params.name)
    reply.headers(headers)
    if (file === undefined)
      return reply.code(404).type('text/plain; charset=utf-8').send('there is no such file\n')
    // names carry a hash of the content
    return reply
      .type(file.type)
      .header('cache-control', 'public, max-age=31536000, immutable')
      .send(file.content)
  })
}
