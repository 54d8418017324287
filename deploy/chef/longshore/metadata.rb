# frozen_string_literal: true

name 'longshore'
maintainer 'The Longshore authors'
license 'MIT'
description 'Registers hosts with a Longshore controller, and runs controllers'
version '0.1.0'
chef_version '>= 16.0', '< 20.0'

supports 'debian', '>= 11.0'
supports 'ubuntu', '>= 22.04'
%w(redhat centos rocky almalinux oracle).each { |platform| supports platform, '>= 9.0' }
