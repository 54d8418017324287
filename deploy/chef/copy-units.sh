#!/bin/sh
# Makes the cookbook's templates of the units in deploy/systemd, where they are defined: what the cookbook lets people
# choose becomes a variable. Run it after a change there; a test compares. Argument: another folder to write to.
set -eu
cd "$(dirname "$0")"
target=${1:-longshore/templates}
for unit in ../systemd/*; do
  sed -e 's#/usr/bin/node#<%= @node_path %>#g' -e 's#0\.0\.0\.0:7300#<%= @listen %>#g' \
    -e 's#/etc/longshore/tls\.crt#<%= @certificate %>#g' -e 's#/etc/longshore/tls\.key#<%= @key %>#g' \
    "$unit" >"$target/$(basename "$unit").erb"
done
