# frozen_string_literal: true

module LongshoreCookbook
  # Whether the host is registered, as the agent's data directory tells it.
  module Registration
    module_function

    def done?(file = IDENTITY_FILE)
      ::File.exist?(file)
    end

    # Looks until the host is registered.
    # @param seconds [Integer] how long at most
    # @raise [Refused] with where to look
    def wait(seconds, pause: 0.5)
      deadline = now + seconds
      until done?
        if now >= deadline
          raise Refused, "the host was not registered within #{seconds} s: `journalctl -u longshore-agent` says why; " \
                         'the next run goes on'
        end

        sleep pause
      end
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
