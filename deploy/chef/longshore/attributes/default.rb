# frozen_string_literal: true

# Every property of longshore_agent, by its name; nil: what the resource does by itself. README.md has them all.
default['longshore']['agent'] = {
  'controller_url' => nil,
  'environment' => nil,
  'host_name' => nil,
  'labels' => nil,
  'join_token' => nil,
  'join_token_file' => nil,
  'join_token_data_bag' => nil,
  'join_token_vault' => nil,
  'join_token_item' => nil,
  'enrol_timeout' => nil,
  'policy' => nil,
  'settings' => nil,
  'run_as' => nil,
  'image' => nil,
  'program_url' => nil,
  'program_checksum' => nil,
  'node_path' => nil,
  'node_url' => nil,
  'node_checksum' => nil,
  'install_docker' => nil,
  'docker_repository' => nil,
  'haproxy' => nil
}

# Of the recipe controller.
default['longshore']['controller'] = {
  'listen' => '0.0.0.0:7300',
  'tls_certificate' => '/etc/longshore/tls.crt',
  'tls_key' => '/etc/longshore/tls.key',
  'program_url' => nil,
  'program_checksum' => nil,
  'node_path' => '/usr/bin/node'
}
