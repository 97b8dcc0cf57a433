#!/usr/bin/env bash
# Run scenarios, all of them without a name, a few at a time: most of their time is spent waiting. Each is a molecule of its own with a
# fleet of its own. One line is said of each when it has ended, and of one that failed all that it said.
#
#   JOBS=3 scenarios.sh [SCENARIO...]
set -euo pipefail

cd "$(dirname "$0")/../.."
export MOLECULE_GLOB='molecule/*/molecule.yml'
LOGS=$(mktemp -d)
export LOGS
trap 'rm -rf "$LOGS"' EXIT

one() {
  local state=0
  molecule --base-config .config/molecule/config.yml test --scenario-name "$1" >"$LOGS/$1" 2>&1 || state=$?
  exec 9>"$LOGS/.lock" && flock 9
  echo x >>"$LOGS/.ended"
  [ "$state" = 0 ] || cat "$LOGS/$1"
  echo "fleet: $1 $([ "$state" = 0 ] && echo passed || echo FAILED), $(wc -l <"$LOGS/.ended") of $COUNT;" \
    "$(grep -Eo '[0-9]+ passed[^=]*in [0-9.]+s' "$LOGS/$1" | tail -n 1)"
  return "$state"
}
export -f one

molecule/shared/images.sh desktop-12 desktop-13 standin
if [ $# = 0 ]; then set -- molecule/*/molecule.yml; fi
export COUNT=$#
echo "fleet: the images are there; $COUNT scenarios"
for scenario; do
  scenario=${scenario%/molecule.yml}
  echo "${scenario##*/}"
done | xargs --max-procs "${JOBS:-3}" -I% bash -euo pipefail -c "one %"
