// Every limit of the wire and of what peers may make us hold, each with its unit and reason.
// The assertions at the end relate them: a change that breaks a relation fails at import.

/** WebSocket message. Large enough for a hello with 500 containers; small enough to parse at once. */
export const maxFrameBytes = 1024 * 1024
/** HTTP body of the API: a service file after interpolation. */
export const maxBodyBytes = 1024 * 1024
/** Service file on disk; a larger one is a mistake. */
export const maxServiceFileBytes = 512 * 1024
/** A token or assertion; proxies accept 8 KiB of headers, and a join token fits into an enrolment. */
export const maxTokenBytes = 8 * 1024 - 512
/** Key announcements in a chain: a rotation a month for five years. */
export const maxKeyChain = 64
/** A signed command, base64url and all; in a frame it grows by a third once more. */
export const maxCommandBytes = 512 * 1024
/** JSON nesting of anything a peer sends. */
export const maxJsonDepth = 32
/** Messages in one frame. */
export const maxMessagesPerFrame = 256
/** Characters of messages that share a frame: a quarter of it, for base64 and for characters of several bytes. */
export const maxBatchedChars = 128 * 1024
/** Commands waiting for one host; more are not sent, the deployment is told `busy`. */
export const maxPendingCommandsPerHost = 256
/** Bytes queued in one agent's socket before progress is dropped, and then the session. */
export const maxBufferedBytes = 1024 * 1024
/** Runs of different services that an agent executes at the same time. */
export const maxParallelRuns = 4
/** Progress messages a second for one run. */
export const maxProgressPerSecond = 4
/** Containers in one inventory message. */
export const maxInventoryContainers = 500
/** Last log lines kept in a report, and the length of each. */
export const maxReportLogLines = 20
export const maxReportLineChars = 500
/** Last lines kept of what a release command wrote: more than of a container, its output is seen nowhere else. */
export const maxCommandLogLines = 50
/** Containers of which a progress message tells what their health check answered: as many as people look at. */
export const maxHealthAnswers = 10
/** Of one answer. */
export const maxHealthAnswerChars = 200
/** Lines of output in one progress message. */
export const maxProgressLines = 50
/** Differences told of one container that was changed by hand. */
export const maxContainerChanges = 20
/** Free text in a reason. */
export const maxReasonChars = 2000
/** Steps in a run. */
export const maxStepsPerRun = 200
/** Sources of an image: each costs its time limits when nothing answers. */
export const maxImageSources = 8
/** Images of releases in one inventory, and releases that one image is kept for. */
export const maxInventoryImages = 200
export const maxImageReleases = 100
/** Platforms of one image of which it is told what they are made of, and layers of each; Docker takes 127. */
export const maxImageContents = 20
export const maxImageLayers = 200
/** Free text about one source that failed, several of which share a report. */
export const maxSourceDetailChars = 500
/** HOST:PORT of a registry; a name in DNS has 253 characters. */
export const maxRegistryNameChars = 300
/** A user name and a password in UTF-8. Tokens of cloud registries that serve as passwords have 1 to 3 KiB. */
export const maxUserNameBytes = 256
export const maxPasswordBytes = 8 * 1024
/** Credentials of a registry, encrypted: twice the password for characters that JSON escapes, and base64. */
export const maxCredentialChars = 24 * 1024
/** Containers of one service on one host. */
export const maxReplicas = 50
/** Bytes of one line of a log before it is cut; Docker's own pieces of long lines have as many. */
export const maxLogLineBytes = 16 * 1024
/** The same as JSON in UTF-8: quotes and controls grow, and what grows too much is cut earlier. */
export const maxLogChars = 20 * 1024
/** What an entry of a log costs beside its text: names, times and braces wherever it is written. */
export const logEntryBytes = 256
/** Entries in one message of logs. */
export const maxLogEntriesPerMessage = 500
/** Cost of the entries in one message: what a report may have to wait for. */
export const maxLogMessageBytes = 64 * 1024
/** Granted at once. */
export const maxLogGrantBytes = 256 * 1024
/** What waits in an agent for a grant, for each stream; lines beyond it are left out and counted. */
export const maxLogQueueBytes = 256 * 1024
/** Streams of logs that one agent keeps open. */
export const maxLogStreamsPerAgent = 32
/** Lines of the past that can be asked for, of each container. */
export const maxLogTailLines = 100_000
/** Text that is searched for. */
export const maxLogGrepChars = 256
/** Containers of which it is said where their log is to go on. */
export const maxLogResumes = 100

/** WebSocket ping. Proxies cut idle connections at 60 s. */
export const pingIntervalMs = 15_000
/** No frame and no pong for this long: the session is dead. */
export const silenceLimitMs = 40_000
/** A peer that opened a connection must complete the handshake within this. */
export const handshakeTimeoutMs = 10_000
/** Answer to the ping that decides between two sessions of one key. */
export const duplicateProbeMs = 5_000
/** Clock difference accepted in an assertion, either way; its `jti` is remembered for twice as long. */
export const maxClockSkewMs = 5 * 60_000
/** Life of a pull token: one image's layers may take longer, but each request is checked only when it begins. */
export const maxPullTokenMs = 5 * 60_000
/** Reconnect: full jitter between 0 and min(cap, base * 2^attempt). */
export const reconnectBaseMs = 250
export const reconnectCapMs = 30_000
/** A session that lasted this long resets the backoff. */
export const reconnectResetAfterMs = 60_000
/** Backoff cap for refusals that need an operator (revoked, unknown-agent, unsupported-version). */
export const reconnectRefusedCapMs = 60 * 60_000
/** A report that was not acknowledged is sent again after this. */
export const reportResendMs = 10_000
/** A command that was neither accepted nor refused is sent again after this. */
export const commandResendMs = 10_000
/** Failed enrolments and assertions from one address before it is told to wait. */
export const maxFailuresPerAddress = 20
export const failureWindowMs = 60_000
/** Default life of a join token. */
export const joinTokenTtlMs = 60 * 60_000

const relate = (isTrue: boolean, relation: string): void => {
  if (!isTrue) throw new RangeError(`limits: ${relation} does not hold`)
}
relate(silenceLimitMs > 2 * pingIntervalMs, 'silenceLimitMs > 2 x pingIntervalMs')
relate(pingIntervalMs < 60_000, 'pingIntervalMs below the 60 s of common proxies')
relate(duplicateProbeMs < silenceLimitMs, 'duplicateProbeMs < silenceLimitMs')
relate(maxBufferedBytes >= maxFrameBytes, 'maxBufferedBytes >= maxFrameBytes')
relate(maxBatchedChars * 3 * (4 / 3) < maxFrameBytes, 'messages that share a frame fit into it')
relate((maxCommandBytes * 4) / 3 < (maxFrameBytes * 3) / 4, 'a command fits well into one frame')
relate(
  ((maxPasswordBytes + maxUserNameBytes) * 2 + maxRegistryNameChars + 512) * (4 / 3) < maxCredentialChars,
  'the longest password fits into its JWE'
)
relate(
  (maxCommandBytes + maxImageSources * (maxCredentialChars + 1024)) * (4 / 3) < maxFrameBytes - 4096,
  'a command with credentials of all its sources fits into a frame'
)
relate(reconnectBaseMs < reconnectCapMs, 'reconnectBaseMs < reconnectCapMs')
relate(maxReportLogLines <= maxCommandLogLines, "a container's log fits where a command's does")
relate(maxCommandLogLines * maxReportLineChars * 4 < maxFrameBytes / 4, 'one report fits well into one frame')
relate(maxLogChars + logEntryBytes <= maxLogGrantBytes, 'the longest line fits into a grant')
relate(
  (maxLogMessageBytes + maxLogChars) * 4 < maxFrameBytes,
  'one message of logs is a small part of a frame'
)
relate(maxLogMessageBytes >= maxLogChars + logEntryBytes, 'the longest line fits into a message')
