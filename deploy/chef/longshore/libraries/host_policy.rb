# frozen_string_literal: true

require 'json'

module LongshoreCookbook
  # The file that says what commands may do on the host. What its words mean, and whether they are right, the agent
  # decides: a file that it cannot read refuses everything.
  module HostPolicy
    module_function

    # JSON is YAML, and means the same in each of its versions.
    # @param policy [Hash] as in the agent's documentation; attributes of a node as well
    # @return [String]
    def file(policy)
      "# Written by Chef: changes are lost.\n#{JSON.pretty_generate(plain(policy))}\n"
    end

    def plain(value)
      case value
      when Hash then value.to_h { |key, inner| [key.to_s, plain(inner)] }
      when Array then value.map { |inner| plain(inner) }
      else value
      end
    end
  end
end
