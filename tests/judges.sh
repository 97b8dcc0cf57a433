#!/usr/bin/env bash
# What Ansible's own judges say of the collection as it is shipped: ansible-test sanity, antsibull-docs and galaxy-importer.
#
#   judges.sh ARTEFACT.tar.gz VENV...     ansible-test with the ansible-core of each, the others with the first
set -euo pipefail

artefact=$(realpath "$1")
shift
# ansible-test wants a collection where Ansible looks for it, and git to tell which files are the collection's.
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
collection=$place/ansible_collections/msp/charter_mail
mkdir -p "$collection"
tar -xzf "$artefact" -C "$collection"
echo tests/output >"$collection/.gitignore"
git -C "$collection" init --quiet
git -C "$collection" add --all

sanity() { # PYTHON
  (cd "$collection" && "${1%/*}/ansible-test" sanity --venv --requirements --color no \
    --python "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" >"$place/said" 2>&1)
}

for venv in "$@"; do
  python=$(realpath "$venv")/bin/python
  export PATH="${python%/*}:$PATH" LC_ALL=C.UTF-8
  state=0
  sanity "$python" || state=$?
  # Where it cannot download what puts pip into its own environment, it names the file that would do; Python comes with a pip.
  if wanted=$(sed -n 's/^The bootstrap script can be manually downloaded and saved to: //p' "$place/said") && [ -n "$wanted" ]; then
    mkdir -p "${wanted%/*}"
    printf 'import ensurepip\n\nensurepip.bootstrap()\n' >"$wanted"
    state=0
    sanity "$python" || state=$?
  fi
  if [ "$state" != 0 ]; then
    cat "$place/said"
    exit "$state"
  fi
  echo "ansible-test sanity, $("$python" -c 'import ansible.release as r; print("ansible-core", r.__version__)'): $(grep -c '^Running sanity test' "$place/said") tests passed"
done

export PATH
PATH=$(realpath "$1")/bin:$PATH
(cd "$collection" && antsibull-docs lint-collection-docs --plugin-docs .) && echo "antsibull-docs: no wrong reference"
if ! (cd "$place" && python -m galaxy_importer.main "$artefact" >"$place/said" 2>&1); then
  cat "$place/said"
  exit 1
fi
echo "galaxy-importer: would be imported"
