#!/usr/bin/env bash
# What Ansible's own judges say of the collection as it is shipped: ansible-test sanity, antsibull-docs and galaxy-importer.
#
#   judges.sh ARTEFACT.tar.gz VENV...     ansible-test with the ansible-core of each, the others with the first; all side by side
# shellcheck disable=SC2030,SC2031  # each judge has a PATH of its own
set -euo pipefail

artefact=$(realpath "$1")
shift
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export LC_ALL=C.UTF-8

# ansible-test wants a collection where Ansible looks for it, and git to tell which files are the collection's.
unpack() { # FOLDER
  collection=$1/ansible_collections/msp/charter_mail
  mkdir -p "$collection"
  tar -xzf "$artefact" -C "$collection"
  echo tests/output >"$collection/.gitignore"
  git -C "$collection" init --quiet
  git -C "$collection" add --all
}

sanity() ( # VENV
  export PATH="$1/bin:$PATH"
  unpack "$place/$2"
  cd "$collection"
  version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  said=$place/$2/said
  run() { ansible-test sanity --venv --requirements --color no --python "$version" >"$said" 2>&1; }
  state=0
  run || state=$?
  # Where it cannot download what puts pip into its own environment, it names the file that would do; Python comes with a pip.
  if wanted=$(sed -n 's/^The bootstrap script can be manually downloaded and saved to: //p' "$said") && [ -n "$wanted" ]; then
    mkdir -p "${wanted%/*}"
    printf 'import ensurepip\n\nensurepip.bootstrap()\n' >"$wanted"
    state=0
    run || state=$?
  fi
  [ "$state" = 0 ] || { cat "$said" && exit "$state"; }
  core=$(python -c 'import ansible.release as release; print(release.__version__)')
  echo "ansible-test sanity, ansible-core $core: $(grep -c '^Running sanity test' "$said") tests passed"
)

others() (
  export PATH="$1/bin:$PATH"
  unpack "$place/others"
  antsibull-docs lint-collection-docs --plugin-docs "$collection"
  echo "antsibull-docs: no wrong reference"
  cd "$place/others"
  python -m galaxy_importer.main "$artefact" >said 2>&1 || { cat said && exit 1; }
  echo "galaxy-importer: would be imported"
)

jobs=()
for venv; do
  sanity "$(realpath "$venv")" "core$#-${#jobs[@]}" &
  jobs+=($!)
done
others "$(realpath "$1")" &
jobs+=($!)
for job in "${jobs[@]}"; do wait "$job"; done
