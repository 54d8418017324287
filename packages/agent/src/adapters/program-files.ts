// Programs of the agent in its data directory, by the image that each came in, and the file that says which one has
// the place. Written at once and synced: a power cut leaves the old file or the new one.
import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type Program, placement } from '../core/programs.ts'
import { AgentExit } from '../exit-codes.ts'
import { parseJson } from '../parse-json.ts'
import type { ProgramFiles } from '../ports.ts'

export const hashOf = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

/** @param dataDir exists */
export const createProgramFiles = (dataDir: string): ProgramFiles => {
  const folder = join(dataDir, 'versions')
  const file = join(folder, 'placement.json')
  const folderOf = ({ image }: Pick<Program, 'image'>): string => join(folder, image.replace(':', '-'))
  const pathOf: ProgramFiles['pathOf'] = (program) => join(folderOf(program), 'agent.mjs')
  return {
    read: () => {
      const text = readIfThere(file)
      if (text === undefined) return null
      const parsed = placement.safeParse(parseJson(text.toString('utf8')))
      if (parsed.success) return parsed.data
      throw new AgentExit('data-directory', `${file}: is damaged; remove it to run the installed agent`)
    },
    write: (next) => {
      if (next === null) rmSync(folder, { recursive: true, force: true })
      else replaceSynced(file, Buffer.from(`${JSON.stringify(next, null, 2)}\n`))
    },
    keep: (image, content) => {
      replaceSynced(pathOf({ image }), content)
      return { image, sha256: hashOf(content) }
    },
    pathOf,
    isWhole: (program) => {
      const content = readIfThere(pathOf(program))
      return content !== undefined && hashOf(content) === program.sha256
    },
    prune: (kept) => {
      const names = new Set(kept.map(({ image }) => image.replace(':', '-')))
      for (const entry of readdirSync(folder, { withFileTypes: true }))
        if (entry.isDirectory() && !names.has(entry.name))
          rmSync(join(folder, entry.name), { recursive: true, force: true })
    }
  }
}

const readIfThere = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

const replaceSynced = (path: string, content: Uint8Array): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const beside = `${path}.new`
  const handle = openSync(beside, 'w', 0o600)
  try {
    for (let at = 0; at < content.length; ) at += writeSync(handle, content, at)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(beside, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
