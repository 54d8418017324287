// An app whose connections stay open: it answers its version, and a request to upgrade with an echo until one side
// ends. The protocol is one of its own, because HAProxy looks into the handshake of a WebSocket. Each connection is a
// process of its own: nothing but the container's end ends them all.
import { readFileSync } from 'node:fs'
import { type Image, makeImage } from '../../scripts/hosts/image.ts'
import { busyboxPath, webPort } from '../../scripts/hosts/web-image.ts'

const answer = (version: string): string => `#!/bin/sh
up=
while read -r line; do
  [ \${#line} -le 1 ] && break
  case "$line" in [Uu]pgrade:*) up=1 ;; esac
done
if [ "$up" ]; then
  printf 'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n'
  exec /bin/busybox cat
fi
printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s' ${version.length} ${version}
`

export const makeUpgradeImage = (version: string): Image =>
  makeImage(
    [
      [
        { type: 'folder', path: 'bin/' },
        { type: 'file', path: 'bin/busybox', content: readFileSync(busyboxPath), isExecutable: true },
        { type: 'symlink', path: 'bin/sh', target: 'busybox' },
        { type: 'file', path: 'bin/answer', content: Buffer.from(answer(version)), isExecutable: true }
      ]
    ],
    {
      Cmd: ['/bin/sh', '-c', `trap "exit 0" TERM; /bin/busybox nc -ll -p ${webPort} -e /bin/answer & wait`],
      ExposedPorts: { [`${webPort}/tcp`]: {} }
    }
  )
