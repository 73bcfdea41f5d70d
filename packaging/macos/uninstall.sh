#!/bin/sh
# Takes Rootcellar away: "/Library/Application Support/Rootcellar/uninstall.sh" [--take-out-hosts | --keep-hosts]
#
# Run it as yourself, not with sudo: your entries in the applications are yours. It asks for the password where it needs
# the rights of an administrator.
set -eu
base=${ROOTCELLAR_VOLUME:-}"/Library/Application Support/Rootcellar"
case ${1:-} in
--take-out-hosts) answer=yes ;;
--keep-hosts) answer=no ;;
'')
    answer=no
    if [ -t 0 ] && [ -t 1 ]; then
        printf 'Take Rootcellar out of your applications first? [Y/n] '
        read -r answer || answer=no
        case $answer in '' | [Yy]*) answer=yes ;; *) answer=no ;; esac
    fi
    ;;
*) echo "$1 is not an option" >&2; exit 2 ;;
esac
if [ "$answer" = yes ]; then
    "$base/current/rootcellar" uninstall --yes || {
        echo "Some entries could not be taken out (above): nothing else was removed." >&2
        exit 1
    }
else
    echo "Entries in your applications stay; they start nothing once the program is gone."
fi
admin=sudo
if [ -w "$base" ]; then admin=; fi
$admin rm -rf "${ROOTCELLAR_VOLUME:-}/Applications/Rootcellar Setup.app" "${ROOTCELLAR_VOLUME:-}/usr/local/bin/rootcellar" "$base"
$admin pkgutil --forget org.rootcellar.pkg >/dev/null 2>&1 || true
echo "Rootcellar is gone. What you may want to keep is in ~/Library/Application Support/rootcellar."
