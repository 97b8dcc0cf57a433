#!/usr/bin/env bash
# Container images of the test fleet: a Debian release with the programs that the tests run, and nothing of this project.
#
#   images.sh NAME...        makes each image that is not there yet (desktop-12, desktop-13, standin)
#   images.sh --name NAME    prints the name the image has in podman
#
# An image comes from, in this order: podman's own store, the archive of an earlier run (.cache/images), a Debian base
# image that is present or can be pulled, Debian's packages. An archive lasts a week, or until this file changes.
set -euo pipefail

readonly HERE=${BASH_SOURCE[0]%/*}
CACHE=${CHARTER_MAIL_CACHE:-$(realpath "$HERE/../..")/.cache}/images
KEY=$(date +%G%V)-$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-8)
readonly CACHE KEY

readonly MACHINE="systemd systemd-sysv dbus openssh-server sudo python3 ca-certificates iproute2 netcat-openbsd procps curl"
readonly DESKTOP="thunderbird evolution claws-mail msmtp isync libsasl2-modules neomutt aerc bsdutils nftables ufw firewalld socat
  xvfb python3-gi gir1.2-edataserver-1.2 gir1.2-camel-1.2"
# Firewalls and the web server are there and off: a scenario that wants one switches it on. No image has them all, so one may be missing.
# shellcheck disable=SC2016  # for the image's shell
readonly OFF='for unit in firewalld ufw nftables nginx; do systemctl disable --quiet $unit 2>/dev/null || true; done'
readonly STANDIN="dovecot-imapd dovecot-pop3d postfix openssl nginx python3-apt"

name() { echo "localhost/charter-mail-fleet:$1-$KEY"; }

# Sets `suite` and `packages` of an image.
describe() {
  packages="$MACHINE $DESKTOP"
  case $1 in
    desktop-12) suite=bookworm ;;
    desktop-13) suite=trixie ;;
    standin) suite=trixie packages="$MACHINE $STANDIN" ;;
    *) echo "images.sh: no image is called $1" >&2 && return 2 ;;
  esac
}

# The host's own mirrors as sources.list lines; nothing when the host has none, then the tools' defaults serve.
# Debian 12 with security updates and 13 without: so the newest Thunderbird ESR and the one before are both there.
sources() {
  command -v apt-get >/dev/null || return 0
  # shellcheck disable=SC2016  # apt-get fills these in
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' | sort -u |
    while read -r origin label uri; do
      case "$origin $label $1" in
        "Debian Debian "*) echo "deb $uri $1 main" ;;
        "Debian Debian-Security bookworm") echo "deb $uri $1-security main" ;;
      esac
    done
}

# The host's proxies and the like, as apt.conf lines; most hosts have none, which is no failure of grep's.
apt_settings() {
  if command -v apt-config >/dev/null; then
    apt-config dump | grep -E '^Acquire::(https?::.*|Retries|Check-(Date|Valid-Until)) "[^"]+";' || true
  fi
}

# Root file system from a base image: needs podman and a registry, or the base image in podman's store.
from_base_image() {
  local base="debian:$suite-slim" builder="charter-mail-build-$1-$$"
  podman image exists "$base" || podman pull --quiet "$base" >/dev/null 2>&1 || return 1
  # shellcheck disable=SC2046  # options
  sources "$suite" | podman run --interactive --name "$builder" --network host $("$HERE/fleet.sh" --podman-options "$base") \
    "$base" sh -euc "cat >/tmp/sources
      if [ -s /tmp/sources ]; then rm -f /etc/apt/sources.list.d/*; mv /tmp/sources /etc/apt/sources.list; fi
      printf '%s\n' '$(apt_settings)' >/etc/apt/apt.conf.d/90host
      printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
      apt-get update
      DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages
      $OFF
      apt-get clean; rm -r /var/lib/apt/lists/* /usr/sbin/policy-rc.d" &&
    podman export "$builder" | zstd --quiet -3 >"$2"
  local rc=$?
  podman rm --force "$builder" >/dev/null
  return $rc
}

# Root file system from Debian's packages alone. There is no screen, so drivers for one are left out.
from_packages() {
  local options=() mirrors=() line
  while read -r line; do options+=("--aptopt=$line"); done < <(apt_settings)
  while read -r line; do mirrors+=("$line"); done < <(sources "$suite")
  for line in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/lib/*/dri/*' '/usr/lib/*/libLLVM*'; do
    options+=("--dpkgopt=path-exclude=$line")
  done
  mmdebstrap --quiet --variant=apt --include="${packages// /,}" "${options[@]}" --aptopt='APT::Install-Recommends "false"' \
    --customize-hook="chroot \"\$1\" sh -c '$OFF'" "$suite" "$2" "${mirrors[@]}"
}

make() {
  local archive=$CACHE/$1-$KEY.tar.zst suite packages old
  describe "$1"
  podman image exists "$(name "$1")" && return
  mkdir -p "$CACHE"
  exec 9>"$CACHE/$1.lock" && flock 9
  podman image exists "$(name "$1")" && return
  if [ ! -e "$archive" ]; then
    from_base_image "$1" "$archive.part.tar.zst" || from_packages "$1" "$archive.part.tar.zst"
    mv "$archive.part.tar.zst" "$archive"
  fi
  podman import --quiet --change 'CMD ["/sbin/init"]' "$archive" "$(name "$1")" >/dev/null
  for old in "$CACHE/$1"-*.tar.zst; do [ "$old" = "$archive" ] || rm -f "$old"; done
}

if [ "${1-}" = --name ]; then
  name "$2"
  exit
fi
jobs=()
for image in "$@"; do
  make "$image" &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
