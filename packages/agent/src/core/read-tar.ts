// One regular file out of an archive as the Docker Engine sends it (POSIX ustar; pax headers are passed over).

const blockBytes = 512

/** @returns undefined: it holds no regular file */
export const readFileInTar = (archive: Buffer): Buffer | undefined => {
  let at = 0
  while (at + blockBytes <= archive.length) {
    const header = archive.subarray(at, at + blockBytes)
    const size = Number.parseInt(header.toString('latin1', 124, 136).replace(/[\0 ]+$/, ''), 8)
    const kind = header.toString('latin1', 156, 157)
    if (Number.isNaN(size)) return undefined
    const begin = at + blockBytes
    if (kind === '0' || kind === '\0') return archive.subarray(begin, begin + size)
    at = begin + Math.ceil(size / blockBytes) * blockBytes
  }
  return undefined
}
