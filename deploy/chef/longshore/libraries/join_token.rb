# frozen_string_literal: true

require 'base64'
require 'json'

module LongshoreCookbook
  # The token that lets a host register. What it says is read without its signature, which the controller checks:
  # here it only keeps a token of one environment from a node of another one.
  module JoinToken
    module_function

    # Of the places where a token may lie exactly one is named.
    # @param places [Hash] property => value or nil
    # @return [Symbol] the property
    def place(places)
      given = places.compact.keys
      return given.first if given.one?

      names = places.keys.join(', ')
      raise Refused, "the host is not registered and needs a join token: set one of #{names}" if given.empty?

      raise Refused, "set one of #{given.join(', ')}, not several"
    end

    # @param item [Hash] of a data bag or a vault: a token for each environment, by its name
    # @return [String]
    def pick(item, environment)
      token = item[environment]
      return token if token.is_a?(String)

      known = item.keys.map(&:to_s).reject { |key| %w(id chef_type data_bag).include?(key) }
      raise Refused, "the item has no join token for #{environment}; it has #{known.sort.join(', ')}"
    end

    # @return [String] the token, ready to be written
    # @raise [Refused] when it is none, or one for another environment
    def check(text, environment)
      token = text.to_s.strip
      named = environment_of(token)
      return "#{token}\n" if named == environment

      raise Refused, "the join token is for #{named}, but this node belongs to #{environment}: " \
                     'create one for it, or set the property environment'
    end

    def environment_of(token)
      payload = token.split('.', -1)
      raise ArgumentError unless payload.length == 3

      claims = JSON.parse(Base64.urlsafe_decode64(payload[1]))
      claims.fetch('environment')
    rescue ArgumentError, JSON::ParserError, KeyError, NoMethodError, TypeError
      # Without its cause, which Chef would write too: the reader of JSON quotes what it reads.
      raise Refused, 'the join token cannot be read: check that it was copied whole', cause: nil
    end
  end
end
