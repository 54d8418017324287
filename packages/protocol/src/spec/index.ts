// The service file: Compose text in, specs or problems out. Only the CLI reads service files; agents and the
// controller get specs, so this part, and the YAML parser with it, is no part of the package's main entry.
export { canonicalJson, diffSpecs, type SpecDifference, specHash } from './diff-specs.ts'
export { InterpolationError, interpolate } from './interpolate.ts'
export { nearestKey } from './nearest-key.ts'
export { parseImage } from './parse-image.ts'
export { type ReadOptions, readServiceFiles, type ServiceFiles } from './read-service-files.ts'
export * from './service-spec.ts'
export {
  describeProblem,
  SpecError,
  type SpecProblem,
  type SpecProblemCode,
  specProblems
} from './spec-error.ts'
export { supportedServiceKeys, supportedTopLevelKeys } from './supported-keys.ts'
export { writeServiceFile } from './write-service-file.ts'
export type { SourceFile } from './yaml-tree.ts'
