#!/usr/bin/env bash
# Turns this container into the stand-in for the provider's mail servers: real Dovecot and Postfix under the provider's names,
# one address and one certificate per name, so that a wrong host name, port or TLS mode is refused as it would be there.
# For a web server of the office's it makes the name and the certificate; no such server is set up.
# Prints the /etc/hosts lines of the names. Mail to anyone without a mailbox here is thrown away: none of it leaves.
set -euo pipefail

readonly DIR=/etc/standin
HERE=$(dirname "$(realpath "$0")")
readonly HERE

# name, port, service, transport security, and what is wrong with the certificate, if anything
readonly ENDPOINTS="\
imap.charter.net   993 imap tls
pop.charter.net    995 pop3 tls
smtp.charter.net   587 smtp starttls
smtp.charter.net   465 smtp tls
mobile.charter.net 993 imap tls
mobile.charter.net 995 pop3 tls
mobile.charter.net 587 smtp tls
mail.twc.com       993 imap tls
mail.twc.com       995 pop3 tls
mail.twc.com       587 smtp starttls
expired.test       993 imap tls      expired
expired.test       587 smtp starttls expired
misnamed.test      993 imap tls      misnamed
misnamed.test      587 smtp starttls misnamed
unknown.test       993 imap tls      unknown
unknown.test       587 smtp starttls unknown
incomplete.test    993 imap tls      incomplete
unlisted.test      993 imap tls      unlisted
implicit.test      587 smtp tls
profiles.example.org 443 web tls"

mkdir -p "$DIR"
cd "$DIR"

# A CA lasts as long as the container, its key a little shorter.
new_ca() { # FILE NAME OPTION...
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$2" "${@:3}" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$1.key" -out "$1.pem"
}

new_certificate() { # NAME FAULT
  local ca=ca name=$1 days=(-days 30)
  case $2 in
    expired) days=(-not_before 20200101000000Z -not_after 20200201000000Z) ;;
    misnamed) name=another.test ;;
    unknown) ca=unknown ;;
    unlisted) ca=unlisted ;;
    # Its issuer's certificate is not sent; nobody may go where it says that it is.
    incomplete) ca=between days+=(-addext "authorityInfoAccess=caIssuers;URI:http://fetch.invalid/between.crt") ;;
  esac
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "${days[@]}" -subj "/CN=$name" -CA "$ca.pem" -CAkey "$ca.key" \
    -addext "subjectAltName=DNS:$name" -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
    -keyout "$1.key" -out "$1.crt"
  cat "$1.key" "$1.crt" >"$1.pem"
}

listener() { # SERVICE ADDRESS PORT
  echo "service $1-login { inet_listener $1_${2//./_} { listen = $2; port = $3; ssl = yes } }" | tr ';' '\n' |
    sed -e 's/ { /&\n/g' -e 's/ } }$/\n}\n}/'
}

dovecot() {
  groupadd --system vmail
  useradd --system --gid vmail --home-dir /srv/mail --create-home vmail
  touch users
  cp "$HERE/dovecot.conf" /etc/dovecot/dovecot.conf
  while read -r address name; do
    printf 'local %s {\n  ssl_server_cert_file = %s/%s.crt\n  ssl_server_key_file = %s/%s.key\n}\n' \
      "$address" "$DIR" "$name" "$DIR" "$name"
  done <names >>/etc/dovecot/dovecot.conf
  while read -r name port service _; do
    [[ "$service" = smtp || "$service" = web ]] || listener "$service" "$(address "$name")" "$port"
  done <<<"$ENDPOINTS" >>/etc/dovecot/dovecot.conf
  systemctl restart dovecot
}

postfix() {
  local name port service security endpoint tls
  touch mailboxes domains
  # shellcheck disable=SC2016  # Postfix's $1: a sender belongs to the login of the same name
  echo '/^(.+)$/ $1' >senders
  cp "$HERE/main.cf" /etc/postfix/main.cf
  postconf -e "virtual_uid_maps=static:$(id -u vmail)" "virtual_gid_maps=static:$(id -g vmail)"
  postconf -MX smtp/inet
  while read -r name port service security _; do
    [ "$service" = smtp ] || continue
    tls="-o smtpd_tls_security_level=encrypt"
    [ "$security" = starttls ] || tls="-o smtpd_tls_wrappermode=yes"
    endpoint=$(address "$name"):$port
    postconf -M "$endpoint/inet=$endpoint inet n - n - - smtpd $tls -o smtpd_tls_chain_files=$DIR/$name.pem \
      -o syslog_name=standin/$name:$port"
  done <<<"$ENDPOINTS"
  systemctl restart postfix
}

address() { awk -v name="$1" '$2 == name { print $1 }' names; }

# Addresses of our own beside the one podman gave: .101 and up of the same network.
network=$(ip -4 -o address show dev eth0 | awk '{ sub(/\.[0-9]+\/.*/, "", $4); print $4 }')
number=101
awk '!seen[$1]++ { print $1 }' <<<"$ENDPOINTS" | while read -r name; do
  ip address add "$network.$number/24" dev eth0
  echo "$network.$number $name"
  number=$((number + 1))
done >names

{
  new_ca ca "Throw-away CA of the mail stand-in"
  new_ca unknown "CA that nobody trusts"
  new_ca unlisted "CA that is public and new"
  new_ca between "CA between" -CA ca.pem -CAkey ca.key
  while read -r name _ _ _ fault; do [ -e "$name.crt" ] || new_certificate "$name" "$fault"; done <<<"$ENDPOINTS"
  dovecot
  postfix
} >setup.log 2>&1 || { cat setup.log >&2; exit 1; }
cat names
