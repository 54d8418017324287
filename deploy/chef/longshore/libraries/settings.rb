# frozen_string_literal: true

# What the agent is told: its settings as an environment file and as arguments. Pure: no node, no files.
module LongshoreCookbook
  # Names and values of settings. docs/agent.md of Longshore explains each.
  module Settings
    # Chosen by properties of their own, or fixed by the unit.
    OWN = %w(
      LONGSHORE_CONTROLLER_URL LONGSHORE_HOST_NAME LONGSHORE_LABELS LONGSHORE_JOIN_TOKEN LONGSHORE_JOIN_TOKEN_FILE
      LONGSHORE_POLICY_FILE LONGSHORE_PROXY LONGSHORE_DATA_DIR LONGSHORE_HOST_DATA_DIR
    ).freeze

    # systemd and Docker read a line alike as long as it has none of these.
    UNSAFE = /["'\\[:cntrl:]]|\A\s|\s\z/.freeze

    module_function

    # @param more [Hash] settings of the agent that have no property
    # @return [Hash] name => value, in the order in which they are written
    def all(controller_url:, host_name:, labels:, proxy:, more: {})
      taken = more.keys.map(&:to_s) & OWN
      raise Refused, "#{taken.first} has a property of its own, or is fixed" if taken.any?

      own = {
        'LONGSHORE_CONTROLLER_URL' => controller_url,
        'LONGSHORE_JOIN_TOKEN_FILE' => TOKEN_FILE,
        'LONGSHORE_POLICY_FILE' => POLICY_FILE,
        'LONGSHORE_HOST_NAME' => host_name,
        'LONGSHORE_LABELS' => Labels.text(labels),
        'LONGSHORE_PROXY' => proxy
      }
      own.merge(more.to_h { |name, value| [name.to_s, value.to_s] }.sort.to_h).compact
    end

    # @return [String] one NAME=value a line
    def file(settings)
      lines = settings.map do |name, value|
        raise Refused, "#{name} is not the name of a setting" unless name.match?(/\A[A-Z][A-Z0-9_]*\z/)
        raise Refused, "#{name} must not hold quotes, backslashes or line ends" if value.match?(UNSAFE)

        "#{name}=#{value}\n"
      end
      "# Written by Chef: changes are lost.\n#{lines.join}"
    end
  end
end
