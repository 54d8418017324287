// How tests wait: for a condition, with a deadline. The machine's scripts wait the same way.
export { WaitedTooLong, waitUntil } from '../../scripts/hosts/wait-until.ts'
