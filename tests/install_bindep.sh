#!/bin/sh
# Install the packages of bindep.txt that are missing, as root or through sudo; otherwise say in one line which they are.
set -eu
cd "$(dirname "$0")/.."

if ! command -v dpkg-query >/dev/null; then
  echo "This is not Debian: the packages of bindep.txt are taken to be there." >&2
  exit
fi
missing=
while read -r name _; do
  case $name in
    '' | '#'*) ;;
    *) [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing="$missing $name" ;;
  esac
done <bindep.txt
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  root="env"
elif sudo -n true 2>/dev/null; then
  root="sudo -n env"
else
  echo "Packages are missing, and this is neither root nor somebody with sudo: apt-get install$missing" >&2
  exit 1
fi
$root apt-get -qq -o DPkg::Lock::Timeout=600 update
# shellcheck disable=SC2086  # a list of names
$root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install --yes --no-install-recommends $missing >/dev/null
