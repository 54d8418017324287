// `npm run demo`: runs on whatever Node started it, and says what to do when that one is too old.
import './check-node.mjs'

await import('./demo/main.ts')
