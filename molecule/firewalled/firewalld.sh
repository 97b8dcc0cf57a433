#!/bin/sh
# An office's firewalld: a policy that rejects what is not named; an address is banned.
set -eu
systemctl enable --now --quiet firewalld
for option in --new-policy=office "--policy=office --add-ingress-zone=HOST" "--policy=office --add-egress-zone=ANY" \
  "--policy=office --set-target=REJECT" "--policy=office --add-port=465/tcp" "--policy=office --add-port=993/tcp"; do
  # shellcheck disable=SC2086  # options
  firewall-cmd --quiet --permanent $option
done
firewall-cmd --quiet --permanent --policy=office --add-rich-rule='rule family="ipv4" destination address="192.0.2.77" reject'
firewall-cmd --quiet --reload
