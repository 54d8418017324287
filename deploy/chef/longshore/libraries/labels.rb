# frozen_string_literal: true

module LongshoreCookbook
  # Labels of the host for placement, from what Chef knows of the node. Sent once, when the host registers.
  module Labels
    NAME = %r{\A[A-Za-z0-9_./-]{1,63}\z}.freeze

    module_function

    # Role `web` is `role.web=true`, tag `fast disk` is `tag.fast_disk=true`; own labels win.
    # @return [Hash] name => value, sorted
    def all(roles:, tags:, own: {})
      given = named('role', roles).merge(named('tag', tags))
      given.merge(own.to_h { |name, value| [name.to_s, value.to_s] }).sort.to_h
    end

    # @return [String, nil] name=value,name=value
    def text(labels)
      labels.each { |name, value| check(name, value) }
      labels.empty? ? nil : labels.map { |pair| pair.join('=') }.join(',')
    end

    def named(kind, words)
      words.to_a.uniq.to_h { |word| ["#{kind}.#{word.to_s.gsub(%r{[^A-Za-z0-9_./-]}, '_')}", 'true'] }
    end

    def check(name, value)
      unless name.match?(NAME)
        raise Refused, "the label #{name} needs 1 to 63 letters, digits, dots, slashes, hyphens or underscores"
      end
      return unless value.include?(',') || value != value.strip || value.length > 255

      raise Refused, "the label #{name} has a value with a comma, outer spaces, or more than 255 characters"
    end
  end
end
