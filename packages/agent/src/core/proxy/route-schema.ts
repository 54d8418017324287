// What may stand in a route: everything that gets into HAProxy's configuration or its command line is checked here,
// where it comes from a run as well as where it is read from disk.
import { environmentName, routingSpec, serviceName } from '@longshore/protocol'
import * as z from 'zod'
import type { ServiceRoute } from './routes.ts'

const port = z.int().min(1).max(65_535)
const address = z.union([z.ipv4(), z.ipv6()])
/** One line, and nothing that a terminal would act on. */
const path = z.string().regex(/^\/[^\p{Cc}]*$/u)

export const serviceRoute: z.ZodType<ServiceRoute> = z.object({
  environment: environmentName,
  service: serviceName,
  ports: z.array(z.object({ hostIp: address.nullable(), published: port, target: port })).max(500),
  routing: routingSpec.extend({
    hosts: z.array(z.string().regex(/^[a-z0-9_][a-z0-9_.-]{0,252}$/)).max(100),
    tls: z.array(z.strictObject({ certificate: path, key: path.nullable() })).max(20)
  }),
  containers: z.array(z.object({ id: z.string().regex(/^[0-9a-f]{12,64}$/), address })).max(200)
})

/** The file of wanted routes. */
export const storedRoutes = z.object({ version: z.literal(1), routes: z.array(serviceRoute).max(1000) })
