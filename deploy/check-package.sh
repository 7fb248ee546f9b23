#!/usr/bin/env bash
# Builds the Debian package, installs it in a scratch root and looks at what came out: files, modes, that the
# programs run, that the units name them, that the configuration is fine. Needs cargo and, for the package
# alone, cargo-deb (installed in the target folder when it is missing), dpkg and systemd.
#
#   deploy/check-package.sh            builds the programs first
#   deploy/check-package.sh --no-build takes the programs as they were built last
#   deploy/check-package.sh --keep     leaves the package in the target folder, and says where
set -euo pipefail

keep=
build=yes
for argument; do
    case "$argument" in
        --keep) keep=yes ;;
        --no-build) build= ;;
        *)
            echo "usage: check-package.sh [--keep] [--no-build]" >&2
            exit 2
            ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$PWD/$target

for tool in dpkg-deb systemd-analyze systemd-sysusers systemd-tmpfiles; do
    if ! command -v "$tool" >/dev/null; then
        echo "there is no $tool: on Debian, apt-get install dpkg systemd" >&2
        exit 1
    fi
done

cargo_deb_version=3.8.0
export PATH=$target/tools/bin:$PATH
if [ "$(cargo deb --version 2>/dev/null)" != "cargo-deb $cargo_deb_version" ]; then
    # Not optimised: it packs a few files.
    cargo install cargo-deb --version "$cargo_deb_version" --locked --debug --quiet \
        --root "$target/tools" --target-dir "$target/tools/build"
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
package=$scratch/mpforkd.deb

# As deploy/demo.sh builds them, so that nothing is built twice.
if [ -n "$build" ]; then
    cargo build --release --locked --package mpforkd --package mpctl --package mpfork \
        --bin mpforkd --bin mpctl --example count_tokens
fi
cargo deb --no-build --locked --package mpforkd --output "$package"
dpkg-deb --info "$package"

failed=0
wrong() {
    echo "WRONG: $*" >&2
    failed=1
}

# What is installed, with modes. Nothing else may be.
expected=$(
    cat <<'FILES'
-rw-r--r-- 0/0 ./etc/mpforkd/mpforkd.toml
-rwxr-xr-x 0/0 ./usr/bin/mpctl
-rwxr-xr-x 0/0 ./usr/bin/mpforkd
-rw-r--r-- 0/0 ./usr/share/bash-completion/completions/mpctl
-rw-r--r-- 0/0 ./usr/share/bash-completion/completions/mpforkd
-rw-r--r-- 0/0 ./usr/share/fish/vendor_completions.d/mpctl.fish
-rw-r--r-- 0/0 ./usr/share/fish/vendor_completions.d/mpforkd.fish
-rw-r--r-- 0/0 ./usr/share/zsh/vendor-completions/_mpctl
-rw-r--r-- 0/0 ./usr/share/zsh/vendor-completions/_mpforkd
-rw-r--r-- 0/0 ./usr/lib/systemd/system/mpforkd.service
-rw-r--r-- 0/0 ./usr/lib/systemd/system/mpforkd.socket
-rw-r--r-- 0/0 ./usr/lib/systemd/user/mpforkd.service
-rw-r--r-- 0/0 ./usr/lib/systemd/user/mpforkd.socket
-rw-r--r-- 0/0 ./usr/lib/sysusers.d/mpforkd.conf
-rw-r--r-- 0/0 ./usr/lib/tmpfiles.d/mpforkd.conf
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/CHANGELOG.md
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/LICENSE-APACHE
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/LICENSE-MIT
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/README.md
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/changelog.Debian.gz
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/copyright
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/deploy/RUNBOOK.md
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/deploy/SECURITY.md
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/deploy/mpforkd.example.toml
-rw-r--r-- 0/0 ./usr/share/doc/mpforkd/deploy/prometheus/mpforkd.rules.yml
FILES
    # A manual page for each verb.
    for page in deploy/man/*; do
        echo "-rw-r--r-- 0/0 ./usr/share/man/man${page##*.}/${page##*/}.gz"
    done
)
installed=$(dpkg-deb --contents "$package" | awk '$1 !~ /^d/ { print $1, $2, $6 }' | LC_ALL=C sort)
if ! diff <(LC_ALL=C sort <<<"$expected") <(echo "$installed"); then
    wrong "the files of the package are not those expected (<) but those found (>)"
fi

dpkg-deb --extract "$package" "$root"
dpkg-deb --control "$package" "$root/DEBIAN"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# The programs run, and are these.
for program in mpforkd mpctl; do
    said=$("$root/usr/bin/$program" --version)
    [ "$said" = "$program $version" ] || wrong "$program says $said"
done
grep -qx "Version: $version-1" "$root/DEBIAN/control" || wrong "the package has another version"
grep -q '^Depends: .*libc6' "$root/DEBIAN/control" || wrong "the package does not depend on libc6"

# What an operator may change is not replaced by the next version.
grep -qx /etc/mpforkd/mpforkd.toml "$root/DEBIAN/conffiles" || wrong "the configuration is no conffile"
"$root/usr/bin/mpforkd" --config "$root/etc/mpforkd/mpforkd.toml" --check-config || wrong "the configuration"
doc=$root/usr/share/doc/mpforkd
cmp "$root/etc/mpforkd/mpforkd.toml" "$doc/deploy/mpforkd.example.toml" || wrong "the example"

# Links from page to page lead somewhere. Others of the README are to the source tree.
for page in "$doc"/README.md "$doc"/deploy/*.md; do
    links=$(grep -o '](\([^)#:]*\.\(md\|toml\|yml\)\|LICENSE[^)]*\)' "$page" | sed 's/^](//') || true
    for link in $links; do
        [ -f "$(dirname "$page")/$link" ] || wrong "$page: there is no $link"
    done
done

# Units execute programs and read files of the package, and are valid.
for unit in "$root"/usr/lib/systemd/{system,user}/mpforkd.service; do
    start=$(sed -n 's/^ExecStart=//p' "$unit")
    for word in $start; do
        [[ $word != /* ]] || [ -e "$root$word" ] || wrong "$unit: there is no $word"
    done
    page=$(sed -n 's/^Documentation=man:\(.*\)(\(.\))$/man\2\/\1.\2/p' "$unit")
    [ -f "$root/usr/share/man/$page.gz" ] || wrong "$unit: there is no manual page $page"
done
for kind in system user; do
    mkdir "$scratch/$kind"
    for unit in "$root/usr/lib/systemd/$kind"/*; do
        # They are looked at where they were unpacked.
        sed "s#/usr/bin/mpforkd#$root&#" "$unit" >"$scratch/$kind/${unit##*/}"
    done
    said=$(XDG_RUNTIME_DIR=$scratch systemd-analyze verify --"$kind" --man=no --recursive-errors=no \
        "$scratch/$kind"/* 2>&1) || wrong "systemd-analyze: $said"
    ! grep mpforkd <<<"$said" || wrong "systemd-analyze found something, see above"
done

# The user and the folder that the units need come with it.
systemd-sysusers --root="$root"
grep -q '^mpforkd:' "$root/etc/passwd" || wrong "sysusers makes no user mpforkd"
if [ "$(id -u)" -eq 0 ]; then
    systemd-tmpfiles --root="$root" --create mpforkd.conf
    [ "$(stat -c %a "$root/run/mpforkd")" = 700 ] || wrong "tmpfiles makes no private /run/mpforkd"
fi

# The scripts are shell, and do no harm where systemd does not run.
for script in postinst postrm prerm; do
    [ -x "$root/DEBIAN/$script" ] || wrong "$script is missing or can't be executed"
    sh -n "$root/DEBIAN/$script" || wrong "$script"
done
if [ "$(id -u)" -eq 0 ]; then
    admin=$root/var/lib/dpkg
    mkdir -p "$admin"/{info,updates,triggers}
    touch "$admin/status"
    # Its scripts run without the scratch root's being one that programs could run in.
    dpkg --root="$root" --force-script-chrootless --force-depends --install "$package" >"$scratch/log" 2>&1 ||
        wrong "it can't be installed: $(cat "$scratch/log")"
    dpkg --root="$root" --force-script-chrootless --purge mpforkd >"$scratch/log" 2>&1 ||
        wrong "it can't be removed: $(cat "$scratch/log")"
    [ ! -e "$root/usr/bin/mpforkd" ] || wrong "removing it leaves programs"
    [ ! -e "$root/etc/mpforkd/mpforkd.toml" ] || wrong "purging it leaves the configuration"
fi

if [ -n "$keep" ]; then
    mkdir -p "$target/debian"
    cp "$package" "$target/debian/mpforkd_$version-1.deb"
    echo "the package: $target/debian/mpforkd_$version-1.deb"
fi
[ "$failed" -ne 0 ] || echo "the package is fine"
exit "$failed"
