# frozen_string_literal: true

# Makes the node a host of Longshore, by the attributes below node['longshore']['agent'].
longshore_agent 'longshore-agent' do
  node['longshore']['agent'].each do |property, value|
    public_send(property, value) unless value.nil?
  end
end
