// The engine's disk while an image comes: looked at before, while the size becomes known, and after. Rather no image
// than a full disk: what runs here writes there too.
import { StepError } from '../engine-error.ts'
import type { Runtime } from '../ports.ts'

type Looks = Pick<Runtime, 'engine' | 'host'>

/** Aborts once what is still to come would leave too little; layers are counted packed, so that it is the least. */
export const watchRoom = async (runtime: Looks, minFreeBytes: number) => {
  const full = new AbortController()
  const { path, freeBytes } = await lookAtRoom(runtime, minFreeBytes)
  let refusal: StepError | undefined
  return {
    signal: full.signal,
    needs: (bytes: number): void => {
      if (freeBytes === null || refusal !== undefined || freeBytes - bytes >= minFreeBytes) return
      refusal = new StepError(
        'disk-full',
        `${path} has ${freeBytes} bytes free, ${minFreeBytes} are demanded, and the image needs ${bytes} more`
      )
      full.abort()
    },
    throwIfFull: (): void => {
      if (refusal !== undefined) throw refusal
    }
  }
}

/** @param undo takes away what was fetched; absent: it was here before @throws StepError `disk-full` */
export const demandRoom = async (
  runtime: Looks,
  minFreeBytes: number,
  undo?: () => Promise<void>
): Promise<void> => {
  const { path, freeBytes } = await lookAtRoom(runtime, minFreeBytes)
  if (freeBytes === null || freeBytes >= minFreeBytes) return
  await undo?.()
  const after = undo === undefined ? '' : ' with the image, which was removed again'
  throw new StepError(
    'disk-full',
    `${path} has ${freeBytes} bytes free${after}, ${minFreeBytes} are demanded`
  )
}

type Room = { path: string; freeBytes: number | null }

/** Nothing demanded, nothing to look at. */
const lookAtRoom = async ({ engine, host }: Looks, minFreeBytes: number): Promise<Room> => {
  if (minFreeBytes === 0) return { path: '', freeBytes: null }
  const path = await engine.dataDirectory()
  return { path, freeBytes: await host.freeBytes(path) }
}
