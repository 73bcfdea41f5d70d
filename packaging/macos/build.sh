#!/bin/sh
# The macOS package of a frozen bundle: build.sh BUNDLE VERSION OUT.pkg (on a Mac; scripts/build --all calls it).
#
#   MACOS_APPLICATION_IDENTITY  "Developer ID Application: ...": signs every program and library
#   MACOS_INSTALLER_IDENTITY    "Developer ID Installer: ...": signs the package
#   MACOS_NOTARY_PROFILE        a profile of `xcrun notarytool store-credentials`: notarises, and staples the ticket
#
# Without them programs are signed ad hoc, as Apple silicon demands, and the package is not signed: for trying out only.
#
# The keychain. An item there remembers which program may read it: by its *designated requirement*, which for a Developer
# ID is the identifier plus the team, and stays the same over every update. So the identifier below never changes, and
# neither may the team. Ad hoc there is no team: the requirement is the hash of this very build, and every update asks
# the user anew for each key. `codesign -d -r- FILE` shows it, and is checked below.
set -eu
umask 022
[ $# -eq 3 ] || { echo "build.sh BUNDLE VERSION OUT.pkg" >&2; exit 2; }
bundle=$1
version=$2
out=$3
here=$(cd "$(dirname "$0")" && pwd)
identifier=org.rootcellar.rootcellar
application=${MACOS_APPLICATION_IDENTITY:-}
installer=${MACOS_INSTALLER_IDENTITY:-}
profile=${MACOS_NOTARY_PROFILE:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
base="$root/Library/Application Support/Rootcellar"

# Where things go. The version arrives beside the others and is moved to its place by `postinstall`: the installer would
# count it as its own and might take it away under a running server at the next update.
mkdir -p "$base/arriving" "$root/Applications" "$root/usr/local/bin"
ditto "$bundle" "$base/arriving/$version"
printf 'pkg\n' >"$base/installed-by"
install -m 755 "$here/uninstall.sh" "$base/uninstall.sh"
ln -s "/Library/Application Support/Rootcellar/current/rootcellar" "$root/usr/local/bin/rootcellar"
app="$root/Applications/Rootcellar Setup.app"
osacompile -o "$app" "$here/setup.applescript"
plist="$app/Contents/Info.plist"
plutil -replace CFBundleIdentifier -string org.rootcellar.setup "$plist"
plutil -replace CFBundleShortVersionString -string "$version" "$plist"
plutil -replace LSUIElement -bool YES "$plist" # no icon in the Dock: the window is the browser's
cp "$here/rootcellar.icns" "$app/Contents/Resources/applet.icns"

# Signing, from the inside out: what is signed may not change afterwards.
sign() { # $1: the file, then more options
    target=$1
    shift
    if [ -n "$application" ]; then
        codesign --force --options runtime --timestamp --sign "$application" "$@" "$target"
    else
        codesign --force --sign - "$@" "$target"
    fi
}
program="$base/arriving/$version/rootcellar"
find "$base/arriving/$version" -type f ! -path "$program" | sort >"$work/files"
while IFS= read -r path; do
    case $(file -b "$path") in
    Mach-O*) sign "$path" ;;
    esac
done <"$work/files"
sign "$program" --identifier "$identifier" --entitlements "$here/entitlements.plist"
sign "$app"
codesign --verify --strict "$program"
if [ -n "$application" ]; then
    codesign -d -r- "$program" 2>&1 | grep -q "identifier \"$identifier\"" || {
        echo "the program's requirement does not name $identifier: keys would be asked for at every update" >&2
        exit 1
    }
fi

# The package. An app that may be "relocated" would be installed over a copy the user has moved elsewhere.
pkgbuild --analyze --root "$root" "$work/components.plist"
index=0
while plutil -replace "$index.BundleIsRelocatable" -bool NO "$work/components.plist" 2>/dev/null; do
    index=$((index + 1))
    [ "$index" -lt 100 ] || break
done
pkgbuild --root "$root" --component-plist "$work/components.plist" --scripts "$here/scripts" \
    --identifier org.rootcellar.pkg --version "$version" --ownership recommended --install-location / \
    "$work/rootcellar-component.pkg"
case $(basename "$bundle") in
*aarch64) architecture=arm64 ;;
*) architecture=x86_64 ;;
esac
sed -e "s/@VERSION@/$version/g" -e "s/@ARCHITECTURE@/$architecture/g" "$here/distribution.xml" >"$work/distribution.xml"
if [ -n "$installer" ]; then
    productbuild --distribution "$work/distribution.xml" --package-path "$work" --sign "$installer" --timestamp "$out"
else
    productbuild --distribution "$work/distribution.xml" --package-path "$work" "$out"
fi

if [ -n "$profile" ]; then
    xcrun notarytool submit "$out" --keychain-profile "$profile" --wait
    xcrun stapler staple "$out"
    spctl --assess --type install --verbose "$out"
fi
if [ -z "$application" ] || [ -z "$installer" ] || [ -z "$profile" ]; then
    echo "not signed for release: set MACOS_APPLICATION_IDENTITY, MACOS_INSTALLER_IDENTITY and MACOS_NOTARY_PROFILE" >&2
fi
