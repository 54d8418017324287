#!/usr/bin/env bash
# What `npm test` does: types, lint, unused code, the bundles that tests start, then all tests. The last line printed is "N passed, N failed".
# The first part that fails ends it with a failure, counted in that line.
set -u
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:/usr/sbin:/sbin:$PATH"

# Programs are started from their sources, hundreds of times: compiled code is kept.
export NODE_COMPILE_CACHE="$PWD/node_modules/.cache/compiled"

part() {
  local name=$1 begin=$SECONDS
  shift
  if "$@"; then
    echo "# $name: ok, $((SECONDS - begin)) s"
  else
    echo "# $name: failed, $((SECONDS - begin)) s"
    echo "0 passed, 1 failed"
    exit 1
  fi
}

part "node" node scripts/check-node.mjs
part "set-up" bash scripts/setup-tests.sh
part "types" tsc
part "types of the page" tsc -p packages/dashboard
part "lint" biome ci --colors=off .
part "unused code" knip

# Programs that tests start are built once: bundles start sooner than sources.
part "programs" node scripts/bundle.ts
export LONGSHORE_TEST_PROGRAMS="$PWD/out"

# The reporter prints the closing line; a tap that ends before its reporter began prints none.
closing_line() {
  local line last=''
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "$line"
    last=$line
  done
  [[ $last =~ ^[0-9]+\ passed,\ [0-9]+\ failed ]] || echo "0 passed, 1 failed"
}
tap "$@" | closing_line
exit "${PIPESTATUS[0]}"
