# frozen_string_literal: true

# A stand-in for Chef Infra: loads the cookbook's files, declares a recipe or one resource, and converges as unified
# mode does. Files and folders are real; packages, accounts, services and `systemctl` are only remembered, in STATE.
# Stdin: the node as JSON. Stdout: a line for each resource; the last one is {"ended": error or null}.
require 'digest'
require 'erb'
require 'fileutils'
require 'json'

COOKBOOK = ARGV.fetch(0)
STATE = '/var/lib/stand-in-state.json'
NODE = JSON.parse($stdin.read)
Dir["#{COOKBOOK}/libraries/*.rb"].sort.each { |file| require file }

# What a Hash of attributes makes of a name that is not there yet.
def attributes
  Hash.new { |hash, key| hash[key] = attributes }
end

# The node as recipes and resources see it.
class Node
  def initialize
    @levels = attributes
  end

  def chef_environment
    NODE.fetch('chef_environment')
  end

  def default
    @levels
  end

  def [](name)
    return NODE[name] unless @levels.key?(name)

    merge(@levels[name], NODE.fetch('attributes', {}).fetch(name, {}))
  end

  def merge(base, over)
    base.merge(over) { |_, old, new| old.is_a?(Hash) && new.is_a?(Hash) ? merge(old, new) : new }
  end
end

# Services, packages and the like that a run before left.
module Memory
  def self.all
    File.exist?(STATE) ? JSON.parse(File.read(STATE)) : {}
  end

  # @return [Boolean] whether that changed anything
  def self.set(key, value)
    known = all
    return false if known[key] == value

    File.write(STATE, JSON.generate(known.merge(key => value)))
    true
  end
end

# A resource of Chef's own: properties as they come, and what converging it does here.
class Builtin
  attr_reader :type, :name, :properties, :updated_by_last_action

  KNOWN = %w(
    action archive_file backup baseurl block checksum command content cookbook creates description destination
    environment gpgkey home manage_home mode not_if notifies only_if overwrite owner retries retry_delay sensitive shell
    source system variables
  ).freeze
  DEFAULTS = { 'package' => :install, 'user' => :create, 'execute' => :run, 'ruby_block' => :run,
               'archive_file' => :extract, 'service' => :nothing }.freeze
  alias updated_by_last_action? updated_by_last_action

  # @param scope where it is declared: what is no property is asked there, as Chef does
  def initialize(type, name, scope)
    @type = type
    @name = name
    @scope = scope
    @properties = {}
  end

  def method_missing(property, *args, **more, &block)
    return @scope.public_send(property, *args, **more, &block) unless KNOWN.include?(property.to_s)

    value = args.empty? && !more.empty? ? more : args.first
    @properties[property.to_s] = block || value
  end

  def respond_to_missing?(property, _all = false)
    KNOWN.include?(property.to_s) || @scope.respond_to?(property)
  end

  def actions
    Array(@properties['action'] || DEFAULTS.fetch(@type, :create))
  end

  def converge
    @updated_by_last_action = wanted? && actions.map { |action| public_send("do_#{action}") }.any?
    puts JSON.generate(told)
    $stdout.flush
  end

  def told
    values = @properties.reject { |_, value| value.is_a?(Proc) || value.nil? }
    { type: @type, name: @name, actions: actions, updated: @updated_by_last_action, properties: values }
  end

  def wanted?
    only, never, creates = @properties.values_at('only_if', 'not_if', 'creates')
    (only.nil? || only.call) && (never.nil? || !never.call) && (creates.nil? || !File.exist?(creates))
  end

  def do_nothing
    false
  end

  def do_create
    case @type
    when 'directory' then make_folder
    when 'user', 'yum_repository' then Memory.set("#{@type} #{@name}", true)
    when 'template' then write(rendered)
    when 'remote_file' then write(fetched)
    else write(@properties.fetch('content'))
    end
  end

  def do_delete
    return false unless File.exist?(@name)

    @type == 'directory' ? Dir.rmdir(@name) : File.delete(@name)
    true
  end

  def do_install
    Array(@name).map { |name| Memory.set("package #{name}", true) }.any?
  end

  def do_enable
    Memory.set("#{@name} enabled", true)
  end

  def do_start
    Memory.set("#{@name} started", true)
  end

  def do_disable
    Memory.all["#{@name} enabled"] == true && Memory.set("#{@name} enabled", false)
  end

  def do_stop
    Memory.all["#{@name} started"] == true && Memory.set("#{@name} started", false)
  end

  def do_extract
    raise 'archives are not unpacked here'
  end

  def do_run
    return @properties.fetch('block').call || true if @type == 'ruby_block'

    command = @properties['command'] || @name
    return true if command.is_a?(String) && command.start_with?('systemctl ')

    system((@properties['environment'] || {}), *command, out: :err) || raise("#{@name} failed")
  end

  def make_folder
    return false if File.directory?(@name)

    Dir.mkdir(@name)
    true
  end

  def fetched
    path = @properties.fetch('source').delete_prefix('file://')
    text = File.binread(path)
    wanted = @properties['checksum']
    raise 'another checksum' if wanted && wanted != Digest::SHA256.hexdigest(text)

    text
  end

  # As in Chef, `node` is the node, whatever the variables say.
  def rendered
    scene = Object.new
    (@properties['variables'] || {}).merge(node: 'node[stand-in]').each do |name, value|
      scene.instance_variable_set("@#{name}", value)
    end
    ERB.new(File.read("#{COOKBOOK}/templates/#{@properties.fetch('source')}")).result(scene.instance_eval { binding })
  end

  def write(text)
    mode = (@properties['mode'] || '0644').to_i(8)
    same = File.exist?(@name) && File.binread(@name) == text.b && File.stat(@name).mode & 0o777 == mode
    return false if same

    File.binwrite("#{@name}.beside", text)
    File.chmod(mode, "#{@name}.beside")
    File.rename("#{@name}.beside", @name)
    true
  end
end

# Where resources are declared: each converges at once.
module Declares
  BUILTINS = %w(archive_file directory execute file package remote_file ruby_block service template user
                yum_repository).freeze

  BUILTINS.each do |type|
    define_method(type) do |name, &block|
      Builtin.new(type, name, self).tap do |one|
        one.instance_exec(&block) if block
        one.converge
      end
    end
  end

  def node
    $node
  end

  def data_bag_item(bag, item)
    NODE.fetch('data_bags').fetch(bag).fetch(item)
  end

  def chef_vault_item(vault, item)
    NODE.fetch('vaults').fetch(vault).fetch(item)
  end
end

# The cookbook's own resource: the file is its class body.
class Custom
  Property = Struct.new(:types, :default, :options)
  # Not evaluated before it is asked for.
  Lazy = Struct.new(:block)

  class << self
    attr_reader :properties, :actions, :words

    def read(file)
      @properties = {}
      @actions = {}
      @words = {}
      class_eval(File.read(file), file)
    end

    def property(name, types, description:, default: nil, **options)
      @properties[name] = Property.new(Array(types), default, options.merge(description: description))
      define_method(name) { |*args| args.empty? ? read(name) : @values[name] = checked(name, args.first) }
    end

    def lazy(&block)
      Lazy.new(block)
    end

    def action(name, &block)
      @actions[name] = block
    end

    def action_class(&block)
      Performer.class_eval(&block)
    end

    %w(provides resource_name unified_mode description default_action).each do |word|
      define_method(word) { |value| @words[word] = value }
    end
  end

  def initialize(name)
    @name = name
    @values = {}
  end

  def action(name = nil)
    name ? @action = name : @action
  end

  def read(name)
    return @values[name] if @values.key?(name)

    default = self.class.properties[name].default
    default.is_a?(Lazy) ? instance_exec(&default.block) : default
  end

  def node
    $node
  end

  def checked(name, value)
    wanted = self.class.properties[name]
    types = wanted.types.map { |type| type.nil? ? NilClass : type }
    raise "#{name} is of another type" unless types.any? { |type| type.is_a?(Class) ? value.is_a?(type) : value == type }

    equal_to, regex = wanted.options.values_at(:equal_to, :regex)
    raise "#{name} must be one of #{equal_to}" if equal_to && !equal_to.include?(value)
    raise "#{name} does not match" if regex && !value.match?(regex)

    value
  end

  def converge
    required = self.class.properties.select { |_, one| one.options[:required] }.keys
    missing = required.reject { |name| @values.key?(name) }
    raise "#{missing.first} is a required property" if missing.any?

    action = @action || self.class.words.fetch('default_action')
    Performer.new(self).instance_exec(&self.class.actions.fetch(action))
  end
end

# An action of the resource under way.
class Performer
  include Declares
  attr_reader :new_resource

  # The block of an action describes itself.
  def description(_text); end

  def initialize(resource)
    @new_resource = resource
  end
end

# A recipe under way.
class Recipe
  include Declares

  def run(name)
    file = "#{COOKBOOK}/recipes/#{name}.rb"
    instance_eval(File.read(file), file)
  end

  def include_recipe(name)
    run(name.split('::').last)
  end

  def longshore_agent(name, &block)
    resource = Custom.new(name)
    resource.instance_exec(&block)
    resource.action(NODE['action'].to_sym) if NODE['action']
    resource.converge
  end
end

$node = Node.new
# `default[...] =` of the attribute file.
def default
  $node.default
end

begin
  Custom.read("#{COOKBOOK}/resources/agent.rb")
  load "#{COOKBOOK}/attributes/default.rb"
  if NODE['describe']
    puts JSON.generate(
      properties: Custom.properties.to_h { |name, one| [name, one.options.transform_values(&:to_s)] },
      actions: Custom.actions.keys, words: Custom.words, attributes: $node.default['longshore']
    )
  else
    Recipe.new.run(NODE.fetch('recipe', 'default'))
  end
  puts JSON.generate(ended: nil)
rescue StandardError => e
  puts JSON.generate(ended: "#{e.class}: #{e.message}", at: e.backtrace.first(3))
  exit 1
end
