#!/bin/sh
# Run ansible-playbook and end with the codes of the README's one table, the same for all commands:
#
#   0  all is in order
#   1  the office itself is wrong (its list, its settings, its folder), or Ansible could not begin
#   2  something is wrong on a machine, or in a check something waits for a correction
#   4  a machine could not be reached, and nothing else is wrong
#
# ansible-playbook alone has 2 for an office that is wrong, and its own sums of 2, 4 and 8.
set -u
verdict=$(mktemp)
trap 'rm -f "$verdict"' EXIT
CHARTER_MAIL_VERDICT_FILE=$verdict ansible-playbook "$@"
code=$?
case $(cat "$verdict"):$code in
  refused:* | :[!0]*) exit 1 ;;
  problem:* | empty:0 | would_change:0) exit 2 ;;
  *:0) exit 0 ;;
  *:4) exit 4 ;;
  *) exit 2 ;;
esac
