#!/usr/bin/env bash
# Runs the black-box tests where there is no network: a namespace whose only interface is loopback, so
# that anything that calls out fails. Says so and ends well where namespaces are not allowed.
#   tests/without_network.sh [FILTER]     after `cargo test --workspace --features s3 --no-run`
set -euo pipefail
cd "$(dirname "$0")/.."

if ! unshare --user --map-root-user --net true 2>/dev/null; then
  echo "skipped: this machine does not allow network namespaces"
  exit 0
fi

binary=$(cargo test --workspace --features s3 --locked --no-run --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*\/it-[0-9a-f]*\)".*/\1/p' | tail -1)
[ -n "$binary" ] || { echo "the tests are not built" >&2; exit 1; }

export binary
exec unshare --user --map-root-user --net bash -euo pipefail -c '
  ip link set lo up
  # The control: nothing but this machine is reachable.
  [ "$(ip -o link | wc -l)" = 1 ] || { echo "there is more than loopback" >&2; exit 1; }
  if timeout 5 bash -c "exec 3<>/dev/tcp/192.0.2.1/80" 2>/dev/null; then
    echo "the namespace has a way out" >&2; exit 1
  fi
  "$binary" "$@"' without_network "$@"
