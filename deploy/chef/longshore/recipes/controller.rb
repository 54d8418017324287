# frozen_string_literal: true

# Runs a controller as a service of systemd, by the attributes below node['longshore']['controller']. Certificate and
# key are put there by others; agents and pipelines reach it, it reaches no host.
settings = node['longshore']['controller']
config = LongshoreCookbook::CONFIG
programs = LongshoreCookbook::PROGRAMS
data = '/var/lib/longshore'

# The account of the service: nobody logs in to it.
user 'longshore' do
  system true
  shell '/usr/sbin/nologin'
  home data
  manage_home false
end

directory config
directory programs
directory data do
  owner 'longshore'
  mode '0700'
end

# Does nothing to one that does not run.
execute 'restart the controller' do
  command 'systemctl try-restart longshore-controller.service'
  action :nothing
end

# The bundle is several files: it comes as one archive, which stays, so that a second run finds nothing to do.
program = "#{programs}/controller.mjs"
archive = "#{programs}/controller.tar.gz"
is_fetched = !settings['program_url'].nil?
remote_file archive do
  source settings['program_url']
  checksum settings['program_checksum']
  mode '0644'
  only_if { is_fetched }
end
archive_file archive do
  destination programs
  overwrite :auto
  notifies :run, 'execute[restart the controller]', :delayed
  only_if { is_fetched }
end

# The first API token is printed once: it lands in a file that only root may read, and that whoever takes it removes.
# What was printed before this run was interrupted is not thrown away.
token = "#{config}/api-token"
initialised = "#{config}/controller.initialised"
init = "#{settings['node_path']} #{program} controller init --data #{data}"
execute 'longshore controller init' do
  command <<~SHELL
    set -e
    umask 077
    [ -s #{token}.new ] || runuser -u longshore -- #{init} > #{token}.new
    mv #{token}.new #{token}
    touch #{initialised}
  SHELL
  sensitive true
  creates initialised
end

execute 'systemctl daemon-reload' do
  action :nothing
end
# The second and third take up a renewed certificate; the first wants them.
%w(longshore-controller.service longshore-controller-tls.service longshore-controller-tls.path).each do |unit|
  template "/etc/systemd/system/#{unit}" do
    source "#{unit}.erb"
    variables(
      node_path: settings['node_path'], listen: settings['listen'],
      certificate: settings['tls_certificate'], key: settings['tls_key']
    )
    mode '0644'
    notifies :run, 'execute[systemctl daemon-reload]', :immediately
    notifies :run, 'execute[restart the controller]', :delayed
  end
end

service 'longshore-controller' do
  action [:enable, :start]
end
