#!/usr/bin/env bash
# The machines of one scenario: two desktops and the stand-in for the provider's servers, as podman containers with systemd
# and sshd, on a network of their own that leads nowhere else.
#
#   fleet.sh up SCENARIO      makes them; .cache/fleet/SCENARIO/ssh_config then reaches each by its name, also by hand:
#                             ssh -F .cache/fleet/SCENARIO/ssh_config desk-12
#   fleet.sh down SCENARIO    removes them, whatever state they are in
#   fleet.sh --podman-options IMAGE   the options `podman run` needs on this host
set -euo pipefail

HERE=$(realpath "${BASH_SOURCE[0]%/*}")
ROOT=$(realpath "$HERE/../..")
readonly HERE ROOT
readonly DESKTOPS=(desk-12 desk-13)

# Some hosts' cgroups are unknown to crun, and where CAP_SYS_RESOURCE is missing the default limits cannot be set.
podman_options() {
  local runtime options
  options="--ulimit nofile=$(least "$(ulimit -Hn)" 16384) --ulimit nproc=$(least "$(ulimit -Hu)" 32768)"
  for runtime in "" "--runtime=runc" "--runtime=crun"; do
    # shellcheck disable=SC2086  # options
    if podman run --rm --network none $runtime $options "$1" true 2>/dev/null; then
      echo "$runtime $options"
      return
    fi
  done
  echo "podman cannot run a container here:" >&2
  # shellcheck disable=SC2086
  podman run --rm --network none $options "$1" true
}

least() { if [ "$1" = unlimited ] || [ "$1" -gt "$2" ]; then echo "$2:$2"; else echo "$1:$1"; fi; }

in_container() { podman exec --interactive "$FLEET-$1" "${@:2}"; }

start() { # MACHINE IMAGE OPTION...
  # shellcheck disable=SC2086  # options
  podman run --detach --name "$FLEET-$1" --hostname "$1" --label "$FLEET" --systemd always --network "$FLEET" \
    --no-hosts --dns none $OPTIONS "${@:3}" "$("$HERE/images.sh" --name "$2")" >/dev/null
}

# systemd says "running" when all units are up; anything else names the units that are not.
await() {
  in_container "$1" systemctl is-system-running --wait >/dev/null || in_container "$1" systemctl --failed --no-pager
}

# The account the controller comes in with. Names are looked up in /etc/hosts alone.
furnish() {
  in_container "$1" sh -eu <<EOF
useradd --create-home --shell /bin/bash technician
install -d -m 700 -o technician -g technician /home/technician/.ssh
echo '$(cat "$STATE/id_ed25519.pub")' >/home/technician/.ssh/authorized_keys
echo 'technician ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/technician
printf '127.0.0.1 localhost\n127.0.1.1 %s\n%s\n' '$1' '$NAMES' >/etc/hosts
: >/etc/resolv.conf
EOF
}

# The throw-away CA stands for a public one: it is in the list of the distribution's own and, in place of being built in, a policy of
# Thunderbird's.
# Thunderbird fetches POP mail at its start; its question for the password would stand in the way of everything else.
trust() {
  in_container "$1" sh -eu <<EOF
echo '$CA' >/usr/share/ca-certificates/mozilla/standin.crt
echo mozilla/standin.crt >>/etc/ca-certificates.conf
update-ca-certificates >/dev/null 2>&1
mkdir -p /etc/thunderbird/policies /etc/thunderbird/pref
echo 'pref("mail.suppressAlertsForTests", true);' >/etc/thunderbird/pref/fleet.js
echo '{"policies": {"Certificates": {"Install": ["/usr/share/ca-certificates/mozilla/standin.crt"]}}}' \
  >/etc/thunderbird/policies/policies.json
EOF
}

up() {
  local machine
  "$HERE/images.sh" desktop-12 desktop-13 standin
  OPTIONS=$(podman_options "$("$HERE/images.sh" --name standin)")
  down
  mkdir -p "$STATE" ~/.ansible/cp
  chmod 700 "$STATE" ~/.ansible/cp
  ssh-keygen -q -t ed25519 -N "" -C technician -f "$STATE/id_ed25519"
  podman network create --internal --disable-dns "$FLEET" >/dev/null
  start standin standin --cap-add NET_ADMIN
  for machine in "${DESKTOPS[@]}"; do start "$machine" "desktop-${machine#desk-}" --cap-add NET_ADMIN; done
  podman cp "$HERE/standin" "$FLEET-standin:/opt/standin"
  await standin
  NAMES=$(in_container standin /opt/standin/setup.sh)
  CA=$(in_container standin cat /etc/standin/ca.pem)
  echo "$CA" >"$STATE/ca.pem"
  furnish standin
  for machine in "${DESKTOPS[@]}"; do
    await "$machine"
    furnish "$machine"
    trust "$machine"
  done
  # A container's address cannot be reached from every host (rootless podman, an internal network), so the way to sshd
  # leads through podman.
  cat >"$STATE/ssh_config" <<EOF
Host ${DESKTOPS[*]} standin
  User technician
  IdentityFile "$STATE/id_ed25519"
  IdentitiesOnly yes
  ProxyCommand podman exec --interactive $FLEET-%h nc -N 127.0.0.1 22
  UserKnownHostsFile "$STATE/known_hosts"
  StrictHostKeyChecking accept-new
  LogLevel ERROR
  ControlMaster auto
  ControlPersist 300
  ControlPath ~/.ansible/cp/$FLEET-%h
EOF
}

down() {
  podman ps --all --quiet --filter "label=$FLEET" | xargs --no-run-if-empty podman rm --force --time 0 --volumes >/dev/null
  if podman network exists "$FLEET"; then podman network rm --force "$FLEET" >/dev/null; fi
  rm -rf "$STATE"
}

if [ "$1" = --podman-options ]; then
  podman_options "$2"
  exit
fi
# Two checkouts on one host must not meet.
FLEET=charter-mail-$2-$(sha256sum <<<"$ROOT" | cut -c 1-8)
STATE=$ROOT/.cache/fleet/$2
readonly FLEET STATE
"$1"
