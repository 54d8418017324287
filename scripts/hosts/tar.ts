// How files become a tar archive: the ustar header, reproducible (no times, no owners), so that the same files
// give the same layer digest. Source: POSIX pax, "ustar Interchange Format".

export type TarEntry =
  | { type: 'file'; path: string; content: Buffer; isExecutable?: boolean }
  | { type: 'folder'; path: string }
  | { type: 'symlink'; path: string; target: string }

const blockBytes = 512
const typeFlags = { file: '0', folder: '5', symlink: '2' } as const

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`

const headerOf = (entry: TarEntry): Buffer => {
  if (Buffer.byteLength(entry.path) > 100) throw new RangeError(`path too long for ustar: ${entry.path}`)
  const header = Buffer.alloc(blockBytes)
  const isExecutable = entry.type !== 'file' || entry.isExecutable === true
  header.write(entry.path, 0)
  header.write(octal(isExecutable ? 0o755 : 0o644, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(entry.type === 'file' ? entry.content.length : 0, 12), 124)
  header.write(octal(0, 12), 136)
  header.write('        ', 148)
  header.write(typeFlags[entry.type], 156)
  if (entry.type === 'symlink') header.write(entry.target, 157)
  header.write('ustar\0' + '00', 257)
  const checksum = header.reduce((sum, byte) => sum + byte, 0)
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

const padding = (bytes: number): Buffer => Buffer.alloc((blockBytes - (bytes % blockBytes)) % blockBytes)

/** One archive of all entries, in the order given. */
export const packTar = (entries: readonly TarEntry[]): Buffer =>
  Buffer.concat([
    ...entries.flatMap((entry) =>
      entry.type === 'file'
        ? [headerOf(entry), entry.content, padding(entry.content.length)]
        : [headerOf(entry)]
    ),
    Buffer.alloc(2 * blockBytes)
  ])
