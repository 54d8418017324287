// The built page from its folder, all of it in memory: a few hundred kilobytes, and no path from a request ever
// reaches the disk. Without the folder there is no page.
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { PageFile } from '../../ports.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml'
}

/** Beside the bundle; in a checkout where `npm run bundle` puts it. */
export const pageFolders = (moduleFolder: string): string[] => [
  join(moduleFolder, 'page'),
  join(moduleFolder, '..', 'page'),
  join(moduleFolder, '../../../out/page')
]

/** @returns name -> file, of the first folder that is there; empty when none is */
export const readPage = async (folders: readonly string[]): Promise<Map<string, PageFile>> => {
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => undefined)
    if (names === undefined) continue
    const known = names.filter((name) => types[extname(name)] !== undefined)
    const read = async (name: string): Promise<[string, PageFile]> => [
      name,
      { type: types[extname(name)] ?? '', content: await readFile(join(folder, name)) }
    ]
    return new Map(await Promise.all(known.map(read)))
  }
  return new Map()
}
