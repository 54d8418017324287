# frozen_string_literal: true

provides :longshore_agent
resource_name :longshore_agent
unified_mode true

description 'Makes the node a host of Longshore, or takes it out of service.'

property :controller_url, String, required: true,
         description: 'Where the controller answers.'
property :environment, String, default: lazy { node.chef_environment },
         description: 'Environment that the host joins; the join token has to be for it.'
property :host_name, [String, nil],
         description: 'Name under which the host registers.'
property :labels, Hash, default: {},
         description: 'Labels for placement, beside those of roles and tags.'
property :join_token, [String, nil], sensitive: true,
         description: 'The join token itself.'
property :join_token_file, [String, nil],
         description: 'File that something else has put there and that holds the join token.'
property :join_token_data_bag, [String, nil],
         description: 'Data bag, encrypted if need be, with the item that holds join tokens.'
property :join_token_vault, [String, nil],
         description: 'Chef Vault with the item that holds join tokens.'
property :join_token_item, String, default: 'join-tokens',
         description: 'The item of the data bag or vault: a join token for each environment, by its name.'
property :enrol_timeout, Integer, default: 60,
         description: 'Seconds to wait until the host is registered; 0: do not wait.'
property :policy, [Hash, nil],
         description: 'What commands may do on the host; nil: no policy file is written.'
property :settings, Hash, default: {},
         description: 'Further settings of the agent, by the names of its environment variables.'
property :run_as, String, equal_to: %w(service container), default: 'service',
         description: 'Run the agent by systemd itself, or as a container.'
property :image, [String, nil], regex: %r{\A[a-zA-Z0-9][a-zA-Z0-9._:/@-]*\z},
         description: 'Image of the agent, for a container.'
property :program_url, [String, nil],
         description: 'Where the bundle agent.mjs is fetched from, for a service; nil: it is there.'
property :program_checksum, [String, nil],
         description: 'SHA-256 of the bundle.'
property :node_path, String, default: '/usr/bin/node',
         description: 'Node.js 24 or newer, for a service.'
property :node_url, [String, nil],
         description: 'Archive of Node.js to install below /opt/longshore; takes the place of node_path.'
property :node_checksum, [String, nil],
         description: 'SHA-256 of the archive.'
property :install_docker, [true, false], default: true,
         description: 'Install Docker Engine where there is none.'
property :docker_repository, String,
         default: lazy { LongshoreCookbook::Distribution.docker_repository(platform: node['platform']) },
         description: 'Repository of Docker Engine for the RHEL family, above the folder of its release.'
property :haproxy, String, equal_to: %w(auto unit container), default: 'auto',
         description: 'Install HAProxy of the distribution and run it as a unit, or let the agent run a container.'

default_action :create

action :create do
  description 'Installs what the agent needs, writes its settings, and starts it; registers the host.'

  # What cannot be right ends the run before anything is changed.
  settings = LongshoreCookbook::Settings.file(agent_settings)
  container_command unless service?
  token = LongshoreCookbook::Registration.done? ? nil : join_token_text

  install_docker
  package 'haproxy' if proxy == 'unit'
  directory LongshoreCookbook::CONFIG
  directory LongshoreCookbook::PROGRAMS if service?

  written = service? ? install_programs : []
  written += write_policy
  written << file(LongshoreCookbook::ENVIRONMENT_FILE) do
    content settings
    mode '0600'
  end
  if token
    written << file(LongshoreCookbook::TOKEN_FILE) do
      content token
      mode '0600'
      sensitive true
      backup false
    end
  end
  written += write_units

  start_agent(written)
  finish_registration
end

action :deregister do
  description 'Tells the controller that the host is taken out of service, and removes the agent. Containers stay.'

  service 'longshore-agent' do
    action [:disable, :stop]
  end
  execute 'longshore-agent --deregister' do
    command goodbye
    environment agent_settings
    retries 2
    retry_delay 5
    only_if { LongshoreCookbook::Registration.done? }
  end
  unit = file '/etc/systemd/system/longshore-agent.service' do
    action :delete
  end
  reload_units if unit.updated_by_last_action?
  [LongshoreCookbook::ENVIRONMENT_FILE, LongshoreCookbook::TOKEN_FILE].each do |path|
    file path do
      action :delete
      backup false
    end
  end
end

action_class do
  def service?
    new_resource.run_as == 'service'
  end

  # Who runs HAProxy: `unit` or `container`.
  def proxy
    wanted = new_resource.haproxy
    return wanted == 'unit' ? refuse('an agent in a container needs HAProxy in one') : 'container' unless service?
    return wanted unless wanted == 'auto'

    LongshoreCookbook::Distribution.haproxy(
      platform: node['platform'], family: node['platform_family'], version: node['platform_version']
    )
  end

  def agent_settings
    labels = LongshoreCookbook::Labels.all(
      roles: node['roles'], tags: node['tags'], own: new_resource.labels
    )
    LongshoreCookbook::Settings.all(
      controller_url: new_resource.controller_url, host_name: new_resource.host_name,
      labels: labels, proxy: proxy, more: new_resource.settings
    )
  end

  def join_token_text
    text = case place_of_token
           when :join_token then new_resource.join_token
           when :join_token_file then ::File.read(new_resource.join_token_file)
           when :join_token_data_bag then picked(data_bag_item(new_resource.join_token_data_bag, item_name))
           when :join_token_vault then picked(chef_vault_item(new_resource.join_token_vault, item_name))
           end
    LongshoreCookbook::JoinToken.check(text, new_resource.environment)
  end

  def place_of_token
    places = [:join_token, :join_token_file, :join_token_data_bag, :join_token_vault]
    LongshoreCookbook::JoinToken.place(places.to_h { |name| [name, new_resource.public_send(name)] })
  end

  def item_name
    new_resource.join_token_item
  end

  def picked(item)
    LongshoreCookbook::JoinToken.pick(item.to_h, new_resource.environment)
  end

  # An engine that is there is used, whoever installed it.
  def install_docker
    return if !new_resource.install_docker || LongshoreCookbook::Distribution.engine?

    family = node['platform_family']
    if family == 'rhel'
      yum_repository 'docker-ce-stable' do
        description 'Docker Engine'
        baseurl "#{new_resource.docker_repository}/$releasever/$basearch/stable"
        gpgkey "#{new_resource.docker_repository}/gpg"
      end
    end
    package LongshoreCookbook::Distribution.docker_packages(family: family)
    service 'docker' do
      action [:enable, :start]
    end
  end

  # @return [Array] what a running agent has to be started anew for
  def install_programs
    install_node if new_resource.node_url
    return [] unless new_resource.program_url

    program = remote_file "#{LongshoreCookbook::PROGRAMS}/agent.mjs" do
      source new_resource.program_url
      checksum new_resource.program_checksum
      mode '0644'
    end
    [program]
  end

  # Unpacked beside and moved, so that what is there is whole.
  def install_node
    folder = ::File.dirname(node_program, 2)
    return if ::File.exist?(folder)

    beside = "#{LongshoreCookbook::PROGRAMS}/node.new"
    archive = "#{beside}.tar"
    remote_file archive do
      source new_resource.node_url
      checksum new_resource.node_checksum
    end
    archive_file archive do
      destination beside
      overwrite true
    end
    execute "mv #{beside}/#{::File.basename(folder)} #{folder}"
    file archive do
      action :delete
      backup false
    end
    directory beside do
      action :delete
    end
  end

  def node_program
    return new_resource.node_path unless new_resource.node_url

    folder = LongshoreCookbook::Distribution.node_folder(new_resource.node_url)
    "#{LongshoreCookbook::PROGRAMS}/#{folder}/bin/node"
  end

  # The agent reads it again by itself.
  def write_policy
    policy = new_resource.policy
    return [] if policy.nil?

    file LongshoreCookbook::POLICY_FILE do
      content LongshoreCookbook::HostPolicy.file(policy)
      mode '0644'
    end
    []
  end

  def write_units
    names = ['longshore-agent.service']
    names += %w(longshore-haproxy.service longshore-haproxy.path) if proxy == 'unit'
    units = names.map { |name| write_unit(name) }
    reload_units if units.any?(&:updated_by_last_action?)
    units.first(1)
  end

  def write_unit(name)
    template_name = name == 'longshore-agent.service' && !service? ? 'longshore-agent-container.service' : name
    values = service? ? { node_path: node_program } : { command: container_command }
    template "/etc/systemd/system/#{name}" do
      cookbook 'longshore'
      source "#{template_name}.erb"
      variables values
      mode '0644'
    end
  end

  def container_command(*args)
    image = new_resource.image || refuse('a container needs the property image')
    LongshoreCookbook::Container.command(image, *args)
  end

  def reload_units
    execute 'systemctl daemon-reload'
  end

  # @param written [Array] resources that the agent reads when it starts
  def start_agent(written)
    changed = written.any?(&:updated_by_last_action?)
    # Does nothing to an agent that does not run.
    execute 'systemctl try-restart longshore-agent.service' if changed
    if proxy == 'unit'
      service 'longshore-haproxy.path' do
        action [:enable, :start]
      end
    end
    service 'longshore-agent' do
      action [:enable, :start]
    end
  end

  # The token is of no use any more once the host is registered.
  def finish_registration
    unless new_resource.enrol_timeout.zero?
      ruby_block 'wait until the host is registered' do
        block { LongshoreCookbook::Registration.wait(new_resource.enrol_timeout) }
        not_if { LongshoreCookbook::Registration.done? }
      end
    end
    file LongshoreCookbook::TOKEN_FILE do
      action :delete
      # Chef keeps copies of what it deletes.
      backup false
      only_if { LongshoreCookbook::Registration.done? }
    end
  end

  def goodbye
    return container_command('--deregister') unless service?

    [node_program, "#{LongshoreCookbook::PROGRAMS}/agent.mjs", '--deregister']
  end

  def refuse(why)
    raise LongshoreCookbook::Refused, why
  end
end
