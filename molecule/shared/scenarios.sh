#!/usr/bin/env bash
# Run scenarios, all of them without a name, a few at a time: most of their time is spent waiting. Each is a molecule of its own with a
# fleet of its own; what it prints comes when it has ended. How far they are goes to file descriptor 3, where there is one.
#
#   JOBS=3 scenarios.sh [SCENARIO...]
set -euo pipefail

cd "$(dirname "$0")/../.."
export MOLECULE_GLOB='molecule/*/molecule.yml'
LOGS=$(mktemp -d)
{ : >&3; } 2>/dev/null || exec 3>/dev/null
export LOGS
trap 'rm -rf "$LOGS"' EXIT

one() {
  local state=0
  molecule --base-config .config/molecule/config.yml test --scenario-name "$1" >"$LOGS/$1" 2>&1 || state=$?
  exec 9>"$LOGS/.lock" && flock 9
  cat "$LOGS/$1"
  echo x >>"$LOGS/.ended"
  echo "fleet: $1 $([ "$state" = 0 ] && echo passed || echo FAILED), $(wc -l <"$LOGS/.ended") of $COUNT" >&3
  return "$state"
}
export -f one

molecule/shared/images.sh desktop-12 desktop-13 standin
if [ $# = 0 ]; then set -- molecule/*/molecule.yml; fi
export COUNT=$#
echo "fleet: the images are there; $COUNT scenarios" >&3
for scenario; do
  scenario=${scenario%/molecule.yml}
  echo "${scenario##*/}"
done | xargs --max-procs "${JOBS:-3}" -I% bash -euo pipefail -c "one %"
