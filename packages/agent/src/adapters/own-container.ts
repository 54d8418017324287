// In which container the agent runs. Docker mounts files of the container's own folder, named by its id, over
// /etc/hostname and the like, also on the host's network and with either version of control groups.
import { readFileSync } from 'node:fs'

/** Fields of a line: id, parent, device, root, mount point; proc_pid_mountinfo(5). */
const ownMount = /^\S+ \S+ \S+ \S*\/containers\/([0-9a-f]{64})\/\S+ \/etc\/(?:hostname|hosts|resolv\.conf) /m

/** @returns null: in none of Docker's */
export const findOwnContainer = (mountInfo = '/proc/self/mountinfo'): string | null => {
  try {
    return ownMount.exec(readFileSync(mountInfo, 'utf8'))?.[1] ?? null
  } catch {
    return null
  }
}
