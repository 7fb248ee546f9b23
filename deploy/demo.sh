#!/usr/bin/env bash
# Builds mpfork, starts mpforkd on a private socket, and counts the tokens of this repository's own
# texts in workers that find the vocabulary loaded. Needs a Rust toolchain and nothing else.
#
#   deploy/demo.sh           ends mpforkd when it is done
#   deploy/demo.sh --keep    leaves it running, and says how to use and how to end it
set -euo pipefail

keep=
case "${1-}" in
    '') ;;
    --keep) keep=yes ;;
    *)
        echo "usage: demo.sh [--keep]" >&2
        exit 2
        ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
}
[ -t 1 ] || say() { printf '\n$ %s\n' "$*"; }

say cargo build --release
cargo build --release --package mpforkd --package mpctl --package mpfork \
    --bin mpforkd --bin mpctl --example count_tokens
built=${CARGO_TARGET_DIR:-target}/release
[[ $built == /* ]] || built=$PWD/$built

private=$(mktemp -d "${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/mpfork-demo.XXXXXX")
export MPFORKD_SOCKET=$private/mpforkd.sock
daemon=

clean_up() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$daemon" ]; then
        # In order: workers, zygotes, itself.
        kill -TERM "$daemon" 2>/dev/null || true
        wait "$daemon" || true
    fi
    if [ "$status" -ne 0 ] && [ -s "$private/log" ]; then
        echo "--- the log of mpforkd" >&2
        cat "$private/log" >&2
    fi
    rm -rf "$private"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "mpforkd --socket $MPFORKD_SOCKET &"
"$built/mpforkd" 2>"$private/log" &
daemon=$!
for _ in $(seq 200); do
    kill -0 "$daemon"
    if "$built/mpctl" status >/dev/null 2>&1; then
        break
    fi
    sleep 0.05
done

texts=(README.md LICENSE-MIT LICENSE-APACHE client/examples/count_tokens.rs)

say "count_tokens ${texts[*]}"
"$built/examples/count_tokens" "${texts[@]}"

say "count_tokens LICENSE-MIT    # another run of the program finds the zygote warm"
"$built/examples/count_tokens" LICENSE-MIT

say mpctl status
"$built/mpctl" status

if [ -n "$keep" ]; then
    trap - EXIT INT TERM
    disown "$daemon"
    cat <<TEXT

mpforkd runs on (pid $daemon, log $private/log). To use it:
  export MPFORKD_SOCKET=$MPFORKD_SOCKET
  $built/mpctl status
  $built/mpctl run command -- uname -a
To end it:
  $built/mpctl shutdown && rm -r $private
TEXT
fi
