// What is done beside a controller, running or not: asked for its health, saved, restored. Put together apart from
// main.ts, whose server a check every half minute need not load.
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import { unpackArchive } from '../adapters/backup/read-archive.ts'
import { listBlobs, writeArchive } from '../adapters/backup/write-archive.ts'
import { systemClock } from '../adapters/clock/system-clock.ts'
import {
  DataError,
  databasePath,
  demandPrivate,
  listKeys,
  readSigningKey
} from '../adapters/keys/data-directory.ts'
import { askLocal } from '../adapters/local/local-socket.ts'
import { type DatabaseCopy, makeCopy } from '../adapters/sql/database-copies.ts'
import { openStore } from '../adapters/sql/open-store.ts'
import { checkDatabase, copyIdleDatabase, installationIn } from '../adapters/sql/sqlite-dialect.ts'
import { readInstallation } from '../engine/installation.ts'
import { raiseEpoch } from '../engine/lease.ts'
import {
  type BackupOptions,
  backupSettings,
  defaultKeepFreeBytes,
  type InitOptions,
  type RestoreOptions,
  readSettings,
  restoreSettings
} from '../settings.ts'

/** @returns in words how the controller on the directory does. @throws DataError; Error when it is not healthy */
export const askController = async ({ dataDir }: InitOptions): Promise<string> => {
  await demandPrivate(dataDir)
  const answer = await askLocal(dataDir, 'health', askLimitMs)
  if (answer === undefined) throw new DataError('data-unusable', `no controller runs on ${dataDir}`)
  answer.close()
  return answer.text
}
const askLimitMs = 3_000

/**
 * Writes everything that a controller needs to go on, whether one runs on the directory or not.
 * @returns what was saved. @throws SettingsError, DataError, StoreError, BackupError, each with a `code`
 */
export const backUpController = async (
  options: BackupOptions,
  signal: AbortSignal = new AbortController().signal
): Promise<{ installation: string; files: number; bytes: number }> => {
  const { dataDir, file, hasImages, isOverwritten } = readSettings(backupSettings, options)
  await readSigningKey(dataDir)
  const copy = (await copyOfRunning(dataDir)) ?? (await copyOfIdle(dataDir))
  try {
    const installation = installationIn(copy.path)
    const keys = await listKeys(dataDir)
    const files = [
      { name: 'controller.db', path: copy.path },
      ...keys.map((name) => ({ name, path: join(dataDir, name) })),
      ...(hasImages ? await listBlobs(dataDir) : [])
    ]
    const about = { installation, version: packageJson.version, madeAtMs: systemClock.nowMs() }
    return { installation, ...(await writeArchive({ file, isOverwritten, files, about, signal })) }
  } finally {
    await copy.remove()
  }
}

const copyOfRunning = async (dataDir: string): Promise<DatabaseCopy | undefined> => {
  const alive = await askLocal(dataDir, 'health', askLimitMs)
  alive?.close()
  const answer = alive && (await askLocal(dataDir, 'copy', null))
  if (answer === undefined) return undefined
  // the controller may see the directory elsewhere
  const path = join(dataDir, basename(answer.text))
  const remove = async (): Promise<void> => {
    await rm(path, { force: true })
    answer.close()
  }
  return { path, remove }
}

const copyOfIdle = (dataDir: string): Promise<DatabaseCopy> => {
  const never = new AbortController().signal
  const path = databasePath(dataDir)
  return makeCopy(dataDir, defaultKeepFreeBytes, (target) => copyIdleDatabase(path, target, never))
}

/**
 * Makes an empty directory that of the controller that was saved.
 * @throws SettingsError, DataError, StoreError, BackupError, InstallationError, each with a `code`; nothing is left then
 */
export const restoreController = async (
  options: RestoreOptions
): Promise<{ installation: string; madeAtMs: number }> => {
  const { dataDir, file } = readSettings(restoreSettings, options)
  const unpacked = await unpackArchive(file, dataDir)
  try {
    const { folder, about } = unpacked
    const key = await readSigningKey(folder)
    checkDatabase(databasePath(folder))
    const nowMs = systemClock.nowMs()
    const store = await openStore({ path: databasePath(folder), nowMs })
    try {
      await readInstallation(store, key)
      await raiseEpoch(store, nowMs)
    } finally {
      await store.close()
    }
    await unpacked.settle()
    return about
  } catch (error) {
    await unpacked.discard()
    throw error
  }
}
