// The steps by which the agent becomes another version of itself. How the place is given, and taken back, is
// successor.ts.
import { pinnedReference } from '../core/image-match.ts'
import type { Finding } from '../core/steps.ts'
import { StepError } from '../engine-error.ts'
import type { Runtime, Successor } from '../ports.ts'
import { nothing, type StepOf } from './containers.ts'
import { findImage } from './find-image.ts'

export const takeAgent = async (runtime: Runtime, { image }: StepOf<'take-agent'>): Promise<Finding> => {
  const found = await findImage(runtime, image)
  if (found === undefined)
    throw new StepError('image-not-found', `${pinnedReference(image)} is gone from this host`)
  await successorOf(runtime).take(found.reference, image.digest)
  return nothing
}

export const tryAgent = async (runtime: Runtime, { image }: StepOf<'try-agent'>): Promise<Finding> => {
  const version = await successorOf(runtime).tryOut(image, runtime.signal)
  runtime.progress(`version ${version} was answered by the controller`)
  return nothing
}

export const handOver = async (runtime: Runtime, { image }: StepOf<'hand-over'>): Promise<Finding> => ({
  kind: 'upgraded',
  versions: await successorOf(runtime).handOver(image, runtime.signal)
})

const successorOf = ({ successor }: Runtime): Successor => {
  if (successor === undefined) throw new StepError('unsupported', 'this agent cannot be replaced by itself')
  return successor
}
