#!/usr/bin/env bash
# Every check of the project, in the order in which failures are cheapest to find. Installs what is
# missing (Debian's Chromium, npm packages, cargo-deny) and ends with one line that counts.
#   tests/all.sh            everything
#   tests/all.sh rust web   only the named steps
set -uo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
target=${CARGO_TARGET_DIR:-$PWD/target}
passed=0
failed=()

step() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  local started=$SECONDS
  if "$@"; then
    passed=$((passed + 1))
    printf -- '-- %s: ok, %d s\n' "$name" $((SECONDS - started))
  else
    failed+=("$name")
    printf -- '-- %s: FAILED, %d s\n' "$name" $((SECONDS - started))
  fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A browser for the browser tests: any Chromium on the PATH, else Debian's.
find_browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
}

install_browser() {
  find_browser >/dev/null && return 0
  as_root apt-get update -q && as_root apt-get install -qy --no-install-recommends chromium
}

# It runs for seconds; its release build takes minutes longer than a debug build.
install_deny() {
  cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --quiet --debug
}

# What is only checked is checked with the feature cuda, so that dependencies are checked once.
# burn-cuda cannot be linked without NVIDIA's tools; DOCS_RS keeps its build script from asking for them.
lint() {
  DOCS_RS=1 cargo clippy --workspace --all-targets --features s3,cuda --locked --quiet -- -D warnings
}

docs() {
  DOCS_RS=1 RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features s3,cuda --no-deps --locked --quiet
}

# The program as it is without S3; with the feature's dependencies, so that all others stay the same.
without_s3() {
  DOCS_RS=1 cargo check --workspace --features cuda,object_store,reqwest,rustls --locked --quiet
}

web() {
  (cd web && npm ci --no-audit --no-fund --loglevel=error && npm run check)
}

browser() {
  install_browser || return 1
  (cd tests/browser && npm ci --no-audit --no-fund --loglevel=error &&
    CHROMIUM="$(find_browser)" PROTOCLIP_STUDIO_BIN="$target/debug/protoclip-studio" npm test)
}

# Advisories need a database from the network; where it cannot be fetched, the rest still counts.
deny() {
  install_deny || return 1
  cargo deny --locked --log-level error check bans licenses sources || return 1
  cargo deny --locked --log-level error check advisories ||
    { [ -n "${REQUIRE_ADVISORIES:-}" ] && return 1; printf 'advisories: not checked or not clean here (set REQUIRE_ADVISORIES=1 to make this fail)\n'; }
}

all() {
  step format cargo fmt --all --check
  step clippy lint
  step rust cargo test --workspace --features s3 --locked
  step no-network tests/without_network.sh http_api route_table connections lifecycle program
  step docs docs
  step web web
  step browser browser
  step without-s3 without_s3
  step deny deny
}

one() {
  case $1 in
    format) step format cargo fmt --all --check ;;
    clippy) step clippy lint ;;
    rust) step rust cargo test --workspace --features s3 --locked ;;
    no-network) step no-network tests/without_network.sh ;;
    docs | web | browser | deny) step "$1" "$1" ;;
    without-s3) step without-s3 without_s3 ;;
    *) printf 'no step %s; there are format clippy rust no-network docs web browser without-s3 deny\n' "$1" >&2; exit 2 ;;
  esac
}

if [ $# = 0 ]; then all; else for name in "$@"; do one "$name"; done; fi

printf '\n'
[ ${#failed[@]} = 0 ] || printf 'failed step: %s\n' "${failed[@]}"
printf '%d passed, %d failed\n' "$passed" "${#failed[@]}"
[ ${#failed[@]} = 0 ]
