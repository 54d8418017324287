// Certificates of the routes as HAProxy reads them: copied together with their keys into its folder, and read anew
// when the files of the service change. A pair that HAProxy refuses stays out: the former one serves on.
import type { ServiceRoute } from '../../core/proxy/routes.ts'
import { type ProxyFiles, pemPath, readPem, readText, replaceFile, stampOf } from './files.ts'
import { updateCertificate } from './talk.ts'

type Certificate = ServiceRoute['routing']['tls'][number]
export type Certificates = ReturnType<typeof createCertificates>

export const createCertificates = (files: ProxyFiles) => {
  /** By path of ours: what the files looked like when they were read last. */
  const stamps = new Map<string, string>()

  const sourceStamp = async ({ certificate, key }: Certificate): Promise<string> =>
    `${await stampOf(certificate)} ${key === null ? '' : await stampOf(key)}`

  return {
    /** Copies those that HAProxy does not have yet. @param loaded the routes that it serves now */
    write: async (wanted: readonly ServiceRoute[], loaded: readonly ServiceRoute[]): Promise<void> => {
      const known = new Set(certificatesOf(loaded).map((one) => pemPath(files, one)))
      for (const one of certificatesOf(wanted)) {
        const path = pemPath(files, one)
        if (known.has(path) && (await readText(path)) !== null) continue
        stamps.set(path, await sourceStamp(one))
        await replaceFile(path, await readPem(one))
      }
    },
    /**
     * Has HAProxy take those whose files changed.
     * @returns the paths of those that changed, and why one was not taken
     */
    refresh: async (routes: readonly ServiceRoute[]): Promise<{ taken: string[]; refused: string[] }> => {
      const taken: string[] = []
      const refused: string[] = []
      for (const one of certificatesOf(routes)) {
        const path = pemPath(files, one)
        const stamp = await sourceStamp(one)
        if (stamps.get(path) === stamp) continue
        stamps.set(path, stamp)
        try {
          const pem = await readPem(one)
          if (pem === (await readText(path))) continue
          await updateCertificate(files, path, pem)
          await replaceFile(path, pem)
          taken.push(one.certificate)
        } catch (error) {
          refused.push(error instanceof Error ? error.message : String(error))
        }
      }
      return { taken, refused }
    }
  }
}

/** Each once, though many services may name it. */
const certificatesOf = (routes: readonly ServiceRoute[]): Certificate[] => {
  const all = routes.flatMap(({ routing }) => routing.tls)
  return [...new Map(all.map((one) => [`${one.certificate}\0${one.key ?? ''}`, one])).values()]
}
