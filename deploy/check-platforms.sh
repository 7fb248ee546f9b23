#!/usr/bin/env bash
# Checks that the workspace compiles for the other platforms. Debian's own toolchain does it, which builds
# the standard library from source for any target; as root it is installed where apt has it. Where it can't
# be had this says so and is no failure: the gate for everything else is the native build.
#
#   deploy/check-platforms.sh [TARGET]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(aarch64-apple-darwin x86_64-pc-windows-gnu x86_64-pc-windows-msvc)

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

# For GNU's Windows the standard library needs it.
dlltool() {
    command -v x86_64-w64-mingw32-dlltool >/dev/null
}

if ! { present && dlltool; } && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    packages=(rustc-web rust-web-src cargo-web binutils-mingw-w64-x86-64)
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } ||
        echo "apt does not have all of ${packages[*]}" >&2
fi

# unchecked WHY TARGET...: says it so that nobody overlooks it.
unchecked() {
    {
        echo '*** THESE PLATFORMS WERE NOT CHECKED ***'
        echo "not checked: ${*:2}"
        echo "$1"
    } >&2
}

if ! present; then
    unchecked 'There is no cargo in /usr/bin with the source of the standard library: on Debian, as root,
apt-get install rustc-web rust-web-src cargo-web binutils-mingw-w64-x86-64' "${targets[@]}"
    exit 0
fi

# Targets that have no standard library ready need what only the nightly compiler offers by itself.
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
failed=0
for target in "${targets[@]}"; do
    if [[ $target == *-windows-gnu ]] && ! dlltool; then
        unchecked 'There is no x86_64-w64-mingw32-dlltool: on Debian, binutils-mingw-w64-x86-64 has it' "$target"
        continue
    fi
    echo "checking for $target"
    if RUSTFLAGS='-D warnings' /usr/bin/cargo check --workspace --locked --target "$target"; then
        echo "$target: the workspace compiles"
    else
        echo "$target: the workspace does NOT compile" >&2
        failed=1
    fi
done
exit "$failed"
