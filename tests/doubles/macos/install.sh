#!/bin/sh
# Makes a machine, or a folder that stands for one, look like a Mac to apple_profiles:   install.sh ROOT
set -eu
here=$(dirname "$0")
root=${1%/}
for command in /usr/bin/profiles /usr/bin/open /usr/bin/approve /usr/bin/sit /usr/sbin/scutil /bin/launchctl; do
  install -D -m 755 "$here/mac.py" "$root$command"
done
[ -e "$root/usr/bin/sudo" ] || install -D -m 755 "$here/mac.py" "$root/usr/bin/sudo"
# Who opens something is not root.
install -d -m 1777 "$root/var/db/mac-double"
