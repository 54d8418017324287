// docker run's options about ports and networks -> keys of a service. What is left to the end: ports that a network
// without addresses cannot have, and `--publish-all`.
import { type Given, refuseValue, type ServiceDraft } from './service-draft.ts'
import { hasVariable, splitAt, splitFields, splitPair } from './value-text.ts'

const noSctp = 'ports are tcp or udp'

/** `8888`, `80:8888`, `127.0.0.1:80:8888/udp`, `published=80,target=8888,protocol=tcp`. */
export const mapPublish = (draft: ServiceDraft, given: Given): void => {
  const value = shortForm(given)
  if (value.endsWith('/sctp')) {
    draft.leaveOut(given, noSctp)
    return
  }
  const [container = '', host = ''] = splitAt(':', value).toReversed()
  if (host.includes('-') && !container.includes('-') && !hasVariable(value)) {
    draft.leaveOut(given, 'a free port out of a range cannot be asked for; name one port of the host')
    return
  }
  draft.push('ports', value, given)
}

/** docker run takes an empty address or host port before a colon as none. */
const shortForm = (given: Given): string => {
  const { value } = given
  if (!value.includes('=') || hasVariable(value))
    return /^:[^:]*(?::[^:]*)?$/.test(value) ? value.replace(/^:+/, '') : value
  const fields = new Map(value.split(',').map((field) => splitPair(field)))
  const { published, target, protocol = 'tcp' } = Object.fromEntries(fields)
  if (target === undefined) throw refuseValue(given, 'a port needs a target')
  return `${published === undefined ? '' : `${published}:`}${target}/${protocol}`
}

export const mapExpose = (draft: ServiceDraft, given: Given): void => {
  if (given.value.endsWith('/sctp')) draft.leaveOut(given, noSctp)
  else draft.push('expose', given.value, given)
}

/** `NAME`, `name=NAME,alias=web`. Networks that docker run may only be given by name are modes. */
export const mapNetwork = (draft: ServiceDraft, given: Given): void => {
  const { value } = given
  const fields = value.includes('=') ? splitFields(value)?.map(splitPair) : [['name', value] as const]
  if (fields === undefined) throw refuseValue(given, 'a quote is not closed')
  const name = fields.find(([field]) => field === 'name')?.[1]
  if (name === undefined || name === '') throw refuseValue(given, 'a network needs a name')
  if (name === 'default') return
  if (isMode(name)) {
    draft.set('network_mode', name, given)
    return
  }
  if (hasVariable(name)) throw refuseValue(given, 'write the name of the network in place of the variable')
  draft.networks.add(name)
  const aliases = fields.flatMap(([field, alias]) =>
    field === 'alias' && alias !== undefined ? [alias] : []
  )
  draft.set(['networks', name], aliases.length > 0 ? { aliases } : null, given)
  for (const [field, found] of fields) {
    if (field !== 'name' && field !== 'alias')
      draft.leaveOut(given, addressAdvice, `${given.option} ...${field}=${found ?? ''}`)
  }
}

export const addressAdvice = 'addresses and links of containers cannot be chosen; use a network and names'

const isMode = (name: string): boolean =>
  name === 'host' || name === 'none' || name === 'bridge' || name.startsWith('container:')

/** Once all options are read: an alias belongs to the one network, wherever it stands. */
export const addAliases = (draft: ServiceDraft, aliases: readonly Given[]): void => {
  const [first, ...others] = draft.networks
  for (const given of aliases) {
    if (first === undefined || others.length > 0)
      throw refuseValue(given, 'an alias needs one network of its own: --network NAME')
    const { networks } = draft.service as { networks: Record<string, { aliases: string[] } | null> }
    draft.set(['networks', first], { aliases: [...(networks[first]?.aliases ?? []), given.value] }, given)
  }
}

/** Once all options are read. */
export const settlePorts = (draft: ServiceDraft): void => {
  const { service, origins } = draft
  const mode = service['network_mode']
  if (draft.isAllPublished) {
    for (const port of draft.listOf('expose'))
      draft.push('ports', port, { option: '--publish-all', value: '' })
    draft.leaveOut(
      { option: '--publish-all', value: '' },
      'which ports the image exposes is not known here; name each under ports, as --expose ones are'
    )
  }
  if (mode !== 'host' && mode !== 'none') return
  for (const [index] of draft.listOf('ports').entries()) {
    const given = origins.get(`ports[${String(index)}]`)
    if (given !== undefined) draft.leaveOut(given, `it has no effect with --network ${mode}`)
  }
  delete service['ports']
}
