# frozen_string_literal: true

include_recipe 'longshore::agent'
