// This process becomes another program: the same for whoever watches it, so that nobody has to start anything. Locks,
// connections and files end with the program before.

/** With what the agent takes out of its own: the next program is told by the same supervisor. */
const givenEnvironment = { ...process.env }

/** @param path of the program, run as this one is. @throws TypeError in a Node older than 24 */
export const becomeProgram = (path: string): never => {
  if (process.execve === undefined) throw new TypeError('only Node 24 can replace a process')
  const args = [process.execPath, ...process.execArgv, path, ...process.argv.slice(2)]
  return process.execve(process.execPath, args, givenEnvironment)
}
