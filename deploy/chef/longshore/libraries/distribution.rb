# frozen_string_literal: true

module LongshoreCookbook
  # What the distribution has: where Docker Engine comes from, and whether its HAProxy is new enough.
  module Distribution
    # First release whose HAProxy is 2.6 or newer: Debian 12 has 2.6, Ubuntu 24.04 has 2.8, RHEL 10 has 3.0. Those
    # before have 2.2 (Debian 11), 2.4 (Ubuntu 22.04) and 2.4 (RHEL 9).
    HAPROXY_SINCE = { 'debian' => '12', 'ubuntu' => '24.04', 'rhel' => '10' }.freeze

    # Docker has packages for RHEL itself and for what is made like CentOS.
    DOCKER_REPOSITORIES = 'https://download.docker.com/linux'

    # Debian's package has it in sbin, Docker's own in bin.
    ENGINES = %w(/usr/bin/dockerd /usr/sbin/dockerd /usr/local/bin/dockerd).freeze

    module_function

    # Whether Docker Engine is there, whoever installed it.
    def engine?
      ENGINES.any? { |file| ::File.exist?(file) }
    end

    # @param platform [String] as Ohai names it; `family` and `version` likewise
    # @return [String] `unit` or `container`
    def haproxy(platform:, family:, version:)
      since = HAPROXY_SINCE[family == 'rhel' ? family : platform]
      since && recent?(version, since) ? 'unit' : 'container'
    end

    # What is not released yet has a name (Debian says `forky/sid`), and is newer than all that is.
    def recent?(version, since)
      !Gem::Version.correct?(version) || Gem::Version.new(version) >= Gem::Version.new(since)
    end

    # @return [Array<String>]
    # @raise [Refused] for a distribution that is not known here
    def docker_packages(family:)
      case family
      when 'debian' then %w(docker.io)
      when 'rhel' then %w(docker-ce docker-ce-cli containerd.io)
      else raise Refused, "Docker Engine cannot be installed on #{family}: install it, or set install_docker to false"
      end
    end

    # @return [String] where the packages for the RHEL family lie
    def docker_repository(platform:)
      "#{DOCKER_REPOSITORIES}/#{platform == 'redhat' ? 'rhel' : 'centos'}"
    end

    # @param url [String] of an archive of Node.js; it holds one folder, which has the archive's name
    # @return [String] that folder's name
    def node_folder(url)
      name = url[%r{/([^/?]+)\.tar\.(?:gz|xz)\z}, 1]
      name || raise(Refused, 'node_url must end with the name of a .tar.gz or .tar.xz of nodejs.org')
    end
  end
end
