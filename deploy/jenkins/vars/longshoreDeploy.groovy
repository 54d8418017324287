/**
 * Brings an image to every host of an environment and waits for the end:
 *
 *   def digest = longshoreDeploy(service: 'api', environment: 'wip', tag: '1.2.3')
 *   longshoreDeploy(service: 'api', environment: 'staging', from: 'wip', digest: digest)
 *
 * service, environment  as `longshore status` shows them
 * tag                   what to deploy, or
 * digest                sha256:...; with `from` it has to have succeeded in that environment
 * from                  promotes from there
 * credentials           id of a credential that binds as a file, with an API token or an ID token; 'longshore' if not given
 *
 * Returns the digest that runs now. Fails the build unless every host is healthy on it; an aborted build cancels the
 * deployment, and what had switched goes back. Values reach the shell as variables, never as part of its text.
 */
def call(Map args) {
  for (name in ['service', 'environment']) {
    if (!args[name]) { error "longshoreDeploy: ${name} is missing" }
  }
  if (!args.digest && (args.from || !args.tag)) { error 'longshoreDeploy: give a tag or a digest, with `from` a digest' }
  def report = "longshore/${args.service}-${args.environment}"
  def values = [
    "DEPLOY_SERVICE=${args.service}",
    "DEPLOY_ENVIRONMENT=${args.environment}",
    "DEPLOY_TAG=${args.tag ?: ''}",
    "DEPLOY_DIGEST=${args.digest ?: ''}",
    "DEPLOY_FROM=${args.from ?: ''}",
    "DEPLOY_REPORT=${report}"
  ]
  def token = file(credentialsId: args.credentials ?: 'longshore', variable: 'LONGSHORE_TOKEN_FILE')
  withEnv(values) {
    try {
      withCredentials([token]) {
        if (args.from) {
          sh label: "promote ${args.service} to ${args.environment}", script: '''
            rm -f "$DEPLOY_REPORT.xml" "$DEPLOY_REPORT.ndjson"
            exec longshore promote "$DEPLOY_SERVICE" --from "$DEPLOY_FROM" --to "$DEPLOY_ENVIRONMENT" --digest "$DEPLOY_DIGEST" \
              --wait-for-lock 15m --timeout 30m --on-timeout cancel --on-abort cancel --reason "$BUILD_URL" \
              --junit "$DEPLOY_REPORT.xml" --ndjson "$DEPLOY_REPORT.ndjson"
          '''
        } else if (args.digest) {
          sh label: "deploy ${args.service} to ${args.environment}", script: '''
            rm -f "$DEPLOY_REPORT.xml" "$DEPLOY_REPORT.ndjson"
            exec longshore deploy "$DEPLOY_SERVICE" --env "$DEPLOY_ENVIRONMENT" --digest "$DEPLOY_DIGEST" \
              --wait-for-lock 15m --timeout 30m --on-timeout cancel --on-abort cancel --reason "$BUILD_URL" \
              --junit "$DEPLOY_REPORT.xml" --ndjson "$DEPLOY_REPORT.ndjson"
          '''
        } else {
          sh label: "deploy ${args.service} to ${args.environment}", script: '''
            rm -f "$DEPLOY_REPORT.xml" "$DEPLOY_REPORT.ndjson"
            exec longshore deploy "$DEPLOY_SERVICE" --env "$DEPLOY_ENVIRONMENT" --tag "$DEPLOY_TAG" \
              --wait-for-lock 15m --timeout 30m --on-timeout cancel --on-abort cancel --reason "$BUILD_URL" \
              --junit "$DEPLOY_REPORT.xml" --ndjson "$DEPLOY_REPORT.ndjson"
          '''
        }
      }
    } finally {
      junit testResults: "${report}.xml", allowEmptyResults: true
      archiveArtifacts artifacts: "${report}.ndjson", allowEmptyArchive: true
    }
    def digest = sh label: 'which digest runs', returnStdout: true, script: '''
      tail -n 1 "$DEPLOY_REPORT.ndjson" | grep -o '"digest":"sha256:[0-9a-f]*"' | head -n 1 | cut -d '"' -f 4
    '''
    return digest.trim()
  }
}
