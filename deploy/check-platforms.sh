#!/usr/bin/env bash
# Checks that the workspace compiles for the other platforms. Debian's own toolchain does it, which builds
# the standard library from source for any target; as root it is installed where apt has it. Where it can't
# be had this says so and is no failure: the gate for everything else is the native build.
#
#   deploy/check-platforms.sh [TARGET]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(aarch64-apple-darwin)

# A folder of its own: the native build's would be built anew each time.
target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target
export CARGO_TARGET_DIR=$target/platforms

# Debian's, whatever rustup has put in front.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin RUSTC=/usr/bin/rustc
unset RUSTFLAGS RUSTUP_TOOLCHAIN RUSTC_WRAPPER CARGO_BUILD_TARGET

present() {
    [ -x /usr/bin/cargo ] && [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std" ]
}

if ! present && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends rustc-web rust-web-src cargo-web; } ||
        echo "apt has no toolchain with the standard library's source" >&2
fi
if ! present; then
    {
        echo '*** THE OTHER PLATFORMS WERE NOT CHECKED ***'
        echo "not checked: ${targets[*]}"
        echo 'It needs a cargo in /usr/bin with the source of the standard library: on Debian, as root,'
        echo 'apt-get install rustc-web rust-web-src cargo-web'
    } >&2
    exit 0
fi

# Targets that have no standard library ready need what only the nightly compiler offers by itself.
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
failed=0
for target in "${targets[@]}"; do
    echo "checking for $target"
    if RUSTFLAGS='-D warnings' /usr/bin/cargo check --workspace --locked --target "$target"; then
        echo "$target: the workspace compiles"
    else
        echo "$target: the workspace does NOT compile" >&2
        failed=1
    fi
done
exit "$failed"
