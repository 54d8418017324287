// The bundles of both programs: those that `npm test` built once, else built here for this one test.
import { bundlePrograms } from '../../scripts/bundle.ts'
import { builtFolder, bundledPrograms } from '../../scripts/hosts/programs.ts'

/** @param folder where they are built if they are not yet */
export const builtPrograms = async (folder: string): Promise<{ cli: string; agent: string }> => {
  if (builtFolder !== undefined) return bundledPrograms(builtFolder)
  await bundlePrograms(folder)
  return bundledPrograms(folder)
}
