#!/bin/sh
# Makes root.pem, which stands for what a phone trusts, and the office's signer.pem (with its issuer) and signer.key, in this folder.
set -eu

make() { # NAME CA SUBJECT EXTENSION
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj "/CN=$3" -addext "$4" -keyout "$1.key" -out "$1.pem" \
    ${2:+-CA "$2.pem" -CAkey "$2.key"} 2>/dev/null
}

make root "" "Root" basicConstraints=critical,CA:TRUE
make issuer root "Issuer" basicConstraints=critical,CA:TRUE
make signer issuer "profiles.example.org" extendedKeyUsage=serverAuth
cat issuer.pem >>signer.pem
