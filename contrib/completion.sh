# Names of offices for `make provision OFFICE=<Tab>`, in bash and zsh: `. contrib/completion.sh` in the clone.
# zsh takes bash's functions with `autoload -U +X bashcompinit && bashcompinit`.
# shellcheck shell=bash
if [ -n "${ZSH_VERSION:-}" ]; then
  autoload -U +X bashcompinit && bashcompinit
fi

_charter_mail_make() {
  local word=${COMP_WORDS[COMP_CWORD]} start="" folder=${OFFICES:-inventories} names
  # Bash cuts words at the equals sign.
  [ "$COMP_CWORD" -lt 1 ] || start=${COMP_WORDS[COMP_CWORD - 1]}
  [ "$COMP_CWORD" -lt 2 ] || start=${COMP_WORDS[COMP_CWORD - 2]}$start
  case "$start$word" in
    *OFFICE=*)
      word=${word#OFFICE=}
      word=${word#=}
      names=$(cd "$folder" 2>/dev/null && for hosts in */hosts.yml; do echo "${hosts%/hosts.yml}"; done)
      ;;
    *) names=$(sed -n 's/^\([a-z-]*\):.*## .*/\1/p' Makefile 2>/dev/null) names="$names OFFICE=" ;;
  esac
  # shellcheck disable=SC2207 # names have no blanks
  COMPREPLY=($(compgen -W "$names" -- "$word"))
}
complete -o nospace -F _charter_mail_make make
