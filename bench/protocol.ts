// How fast frames are signed and verified, against bare Ed25519 of WebCrypto over payloads of the same size with
// the same concurrency in the same run. Printed, not tested: `node bench/protocol.ts [payload bytes] [rounds]`.
import {
  createAgentCodec,
  createControllerCodec,
  type FrameToSend,
  generateSigningKey,
  importVerifyKey,
  newNonce,
  sessionIdOf,
  signJws,
  type UpMessage,
  upFrame,
  verifyJws
} from '@longshore/protocol'

const payloadBytes = Number(process.argv[2] ?? 1024)
const rounds = Number(process.argv[3] ?? 4)
const framesPerRound = 2000
/** In flight at once: the pool of threads that WebCrypto uses has four by default. */
const concurrency = 8

const { key } = await generateSigningKey()
const verifyKey = await importVerifyKey(key.publicJwk)
const sid = await sessionIdOf(newNonce(new Uint8Array(16)), newNonce(new Uint8Array(16).fill(1)))

/** Progress messages until the payload has about the wanted size. */
const messagesOf = (bytes: number): UpMessage[] => {
  const messages: UpMessage[] = []
  while (JSON.stringify(messages).length + 120 < bytes || messages.length === 0) {
    messages.push({
      type: 'progress',
      command: 'cmd_0000000000000000000a' as never,
      step: 'pull',
      position: 2,
      total: 9,
      detail: 'layer 4 of 11',
      bytes: { done: 1_234_567, total: 9_876_543 }
    })
  }
  return messages.slice(0, 256)
}
const messages = messagesOf(payloadBytes)
const frame = { sid, seq: 1, at: 1_750_000_000_000, messages }
const keyOf = (kid: string) => (kid === key.kid ? verifyKey : undefined)
const sample = await signJws('frame', frame, key)
const signedBytes = new Uint8Array(sample.lastIndexOf('.'))

const perSecond = async (work: () => Promise<unknown>): Promise<number> => {
  let left = framesPerRound
  const lane = async (): Promise<void> => {
    while (left-- > 0) await work()
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: concurrency }, lane))
  return (framesPerRound * 1000) / (performance.now() - started)
}

const bare = async (): Promise<void> => {
  const signature = await crypto.subtle.sign('Ed25519', key.privateKey, signedBytes)
  if (!(await crypto.subtle.verify('Ed25519', verifyKey.publicKey, signature, signedBytes))) {
    throw new Error('a good signature did not verify')
  }
}
const ours = async (): Promise<void> => {
  await verifyJws('frame', await signJws('frame', frame, key), keyOf, upFrame)
}

/** The whole codec, one session: both directions are chains, so this shows one agent's most, not the machine's. */
const throughCodecs = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    let received = 0
    const controller = createControllerCodec(
      { key, keyOf, nowMs: Date.now },
      {
        received: () => {
          received += 1
          if (received === framesPerRound) resolve((framesPerRound * 1000) / (performance.now() - started))
        },
        signed: () => undefined,
        failed: reject
      }
    )
    const agent = createAgentCodec(
      { key, keyOf, nowMs: Date.now, clientNonce: newNonce(new Uint8Array(16)) },
      { received: () => undefined, signed: (jws) => controller.receive(jws), failed: reject }
    )
    for (let seq = 1; seq <= framesPerRound; seq++) {
      const next: FrameToSend<UpMessage> = { sid, seq, messages }
      agent.send(next)
    }
  })

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
await perSecond(bare)
await perSecond(ours)
const results = { bare: [] as number[], ours: [] as number[], codec: [] as number[] }
for (let round = 0; round < rounds; round++) {
  // taken in turns, so that a busy machine slows both
  results.bare.push(await perSecond(bare))
  results.ours.push(await perSecond(ours))
  results.codec.push(await throughCodecs())
}
const bareRate = median(results.bare)
const oursRate = median(results.ours)
console.log(
  `payload ${JSON.stringify(frame).length} bytes, ${messages.length} messages, concurrency ${concurrency}`
)
console.log(`bare Ed25519      ${bareRate.toFixed(0)} signed and verified per second`)
console.log(
  `frames            ${oursRate.toFixed(0)} per second, ${((100 * oursRate) / bareRate).toFixed(0)} % of bare`
)
console.log(`one session       ${median(results.codec).toFixed(0)} frames per second`)
