# frozen_string_literal: true

# What the cookbook knows of Longshore. Everything here is plain Ruby: no node, no resource, nothing is changed.
module LongshoreCookbook
  CONFIG = '/etc/longshore'
  PROGRAMS = '/opt/longshore'
  DATA = '/var/lib/longshore-agent'
  ENVIRONMENT_FILE = "#{CONFIG}/agent.env"
  POLICY_FILE = "#{CONFIG}/policy.yaml"
  TOKEN_FILE = "#{CONFIG}/join.token"
  # There from the moment the controller has registered the host, until it is deregistered.
  IDENTITY_FILE = "#{DATA}/identity.json"

  # Provisioning was told something that cannot be right; the message says what, never a secret.
  class Refused < StandardError; end
end
