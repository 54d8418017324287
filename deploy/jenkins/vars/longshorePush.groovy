/**
 * Sends an image of the agent's Docker Engine to its registry, or to the controller when the registry does not take it:
 * hosts find it in either place, and a deployment does not wait for a registry that is down.
 *
 *   longshorePush(image: 'registry.example.com/team/api:1.2.3')
 *
 * credentials           as with longshoreDeploy; the token needs `push-image`
 */
def call(Map args) {
  if (!args.image) { error 'longshorePush: image is missing' }
  def token = file(credentialsId: args.credentials ?: 'longshore', variable: 'LONGSHORE_TOKEN_FILE')
  withEnv(["PUSH_IMAGE=${args.image}"]) {
    withCredentials([token]) {
      sh label: "push ${args.image}", script: '''
        docker push "$PUSH_IMAGE" || exec longshore push "$PUSH_IMAGE"
      '''
    }
  }
}
