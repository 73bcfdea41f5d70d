#!/bin/sh
# Rootcellar @VERSION@ for Linux @ARCHITECTURE@, for one user and without root: sh @NAME@ [options]
#
# What follows this script in the file is a gzipped tar of the program. Nothing is unpacked outside the place where it
# stays: a temporary directory may be too small, or forbid programs.
set -eu
umask 022
VERSION='@VERSION@'
OFFSET=@OFFSET@
BYTES=@BYTES@
SHA256=@SHA256@
self=$0
base=${XDG_DATA_HOME:-$HOME/.local/share}/rootcellar
links=$HOME/.local/bin
desktop=${XDG_DATA_HOME:-$HOME/.local/share}/applications/rootcellar-setup.desktop

say() { printf '%s\n' "$*"; }
die() { say "rootcellar: $*" >&2; exit 1; }

usage() {
    cat <<'END'
Install Rootcellar for this user, then open its Setup. Root is not needed.

  --no-setup        do not open Setup afterwards
  --check           only see whether this file is whole
  --extract DIR     only unpack the program into DIR, which must not exist
  --uninstall       take Rootcellar away again (asks about the entries in your applications)
  --take-out-hosts  with --uninstall: take our entries out of the applications, without asking
  --keep-hosts      with --uninstall: leave them, without asking
  --version, --help
END
}

payload() { tail -c "+$OFFSET" "$self"; }

check() {
    have=$(($(wc -c <"$self") - OFFSET + 1))
    [ "$have" -eq "$BYTES" ] || die "this file is not whole ($have bytes of $BYTES): download it again"
    if command -v sha256sum >/dev/null; then
        sum=$(payload | sha256sum | cut -d ' ' -f 1)
        [ "$sum" = "$SHA256" ] || die "this file is damaged: download it again"
    fi
}

unpack() { # into a directory that must not exist
    mkdir -p "$1"
    if ! payload | gzip -dc | tar -xf - -C "$1"; then
        rm -rf "$1"
        die "the program could not be unpacked into $1"
    fi
    # A system that may not run programs from a home directory says so here, and not in every application.
    "$1/rootcellar" --version >/dev/null 2>&1 || {
        rm -rf "$1"
        die "programs cannot be run from $base: is it mounted noexec, or is this another kind of machine?"
    }
}

in_use() {
    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" 2>/dev/null || true) in
        "$1"/*) return 0 ;;
        esac
    done
    return 1
}

link_to() { # $1: where it leads, $2: the link; never half done
    ln -sfn "$1" "$2.new-$$"
    mv -fT "$2.new-$$" "$2"
}

ours() { # a link that leads into our place
    case $(readlink "$1" 2>/dev/null || true) in
    "$base"/*) return 0 ;;
    esac
    return 1
}

install_program() {
    mkdir -p "$base/versions"
    chmod 700 "$base"
    base=$(cd "$base" && pwd -P)
    for old in "$base"/versions/.new-*; do # of a run that was killed; another one that runs now keeps its own
        if ! kill -0 "${old##*-}" 2>/dev/null; then rm -rf "$old"; fi
    done
    new=$base/versions/.new-$$
    unpack "$new"
    place=$VERSION
    # The same version with other files (built anew) gets a place of its own while the one before it runs.
    if [ -d "$base/versions/$place" ]; then
        if diff -rq "$new" "$base/versions/$place" >/dev/null 2>&1; then
            rm -rf "$new"
        elif in_use "$base/versions/$place"; then
            place=$VERSION+$(date +%s)
        else
            rm -rf "$base/versions/$place"
        fi
    fi
    if [ -d "$new" ]; then mv -T "$new" "$base/versions/$place"; fi
    printf 'run\n' >"$base/installed-by"
    link_to "versions/$place" "$base/current"
    for old in "$base"/versions/*; do
        if [ "$old" != "$base/versions/$place" ] && ! in_use "$old"; then rm -rf "$old"; fi
    done
    uninstaller >"$base/uninstall"
    chmod 755 "$base/uninstall"

    mkdir -p "$links"
    if [ -e "$links/rootcellar" ] && ! ours "$links/rootcellar"; then
        say "$links/rootcellar is another one, and is left alone; this one is $base/current/rootcellar"
    else
        link_to "$base/current/rootcellar" "$links/rootcellar"
        case ":$PATH:" in
        *":$links:"*) ;;
        *) say "To type \`rootcellar\` in a terminal, add $links to your PATH." ;;
        esac
    fi
    mkdir -p "$(dirname "$desktop")"
    # shellcheck disable=SC2016,SC1003 # a desktop entry quotes with \ inside "..."
    quoted=$(printf '"%s"' "$(printf %s "$base/current/rootcellar" | sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g')")
    cat >"$desktop" <<END
[Desktop Entry]
Type=Application
Version=1.0
Name=Rootcellar Setup
Comment=Choose which applications may use which of your folders
Exec=$quoted setup
Icon=$base/current/rootcellar.svg
Terminal=false
Categories=Utility;
END
    say "Rootcellar $VERSION is in $base."
}

uninstaller() { # this script, without the program that follows it
    head -c "$((OFFSET - 1))" "$self" | sed -e 's/^OFFSET=.*/OFFSET=0/'
}

uninstall_program() { # $1: ask, take or keep the entries in applications
    base=$(cd "$base" 2>/dev/null && pwd -P) || die "there is nothing in $base"
    program=$base/current/rootcellar
    answer=$1
    if [ "$answer" = ask ]; then
        answer=keep
        if [ -t 0 ] && [ -t 1 ]; then
            printf 'Take Rootcellar out of your applications first? [Y/n] '
            read -r answer || answer=no
            case $answer in '' | [Yy]*) answer=take ;; *) answer=keep ;; esac
        fi
    fi
    if [ "$answer" = take ]; then
        "$program" uninstall --yes || die "some entries could not be taken out (above): nothing else was removed"
    else
        say "Entries in your applications stay; they start nothing once the program is gone."
    fi
    if ours "$links/rootcellar"; then rm -f "$links/rootcellar"; fi
    rm -rf "$desktop" "$base/versions" "$base/current" "$base/installed-by" "$base/uninstall"
    rmdir "$base" 2>/dev/null || say "What you may want to keep (undo journal, copies of settings) stays in $base."
    say "Rootcellar is gone."
}

act=install
hosts=ask
setup=yes
while [ $# -gt 0 ]; do
    case $1 in
    --no-setup) setup=no ;;
    --check | --uninstall) act=${1#--} ;;
    --extract)
        act=extract
        [ $# -gt 1 ] || die "--extract needs a directory"
        into=$2
        shift
        ;;
    --take-out-hosts) hosts=take ;;
    --keep-hosts) hosts=keep ;;
    --version) say "$VERSION"; exit 0 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; die "$1 is not an option" ;;
    esac
    shift
done
if [ "$OFFSET" -eq 0 ]; then act=uninstall; fi

case $act in
check) check; say "This file is whole: Rootcellar $VERSION." ;;
extract)
    [ ! -e "$into" ] || die "$into is there already"
    check
    unpack "$into"
    ;;
uninstall) uninstall_program "$hosts" ;;
install)
    if [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_USER:-}" ]; then
        die "run it without sudo: it installs for you alone, and needs no rights"
    fi
    [ "$(uname -m)" = '@ARCHITECTURE@' ] || die "this is for @ARCHITECTURE@, and this machine is $(uname -m)"
    check
    install_program
    if [ "$setup" = yes ]; then
        if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ -t 0 ]; then exec "$base/current/rootcellar" setup; fi
        say "Next: \`$base/current/rootcellar install\`"
    fi
    ;;
esac
exit 0
