# frozen_string_literal: true

require 'shellwords'

module LongshoreCookbook
  # The agent as a container of the host's own engine: how it is started, and how it says goodbye.
  module Container
    NAME = 'longshore-agent'
    MOUNTS = [
      '/var/run/docker.sock:/var/run/docker.sock',
      "#{DATA}:#{DATA}",
      # Policy, join token and, for HAProxy, certificates below it.
      "#{CONFIG}:#{CONFIG}:ro",
      '/root/.docker:/root/.docker:ro'
    ].freeze

    module_function

    # @param args [Array<String>] of the agent
    # @return [String] a command line
    def command(image, *args)
      mounts = MOUNTS.flat_map { |mount| ['-v', mount] }
      options = ['--rm', '--name', NAME, '--network', 'host', '--env-file', ENVIRONMENT_FILE, *mounts]
      Shellwords.join(['/usr/bin/docker', 'run', *options, image, *args])
    end
  end
end
