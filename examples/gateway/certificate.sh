#!/bin/sh
# Makes a certificate for shop.localhost and writes it as a Secret into the folder (default: manifests) and as shop.pem, for
# clients, beside it. Neither is committed.
set -eu
folder=${1:-$(dirname "$0")/manifests}
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=shop.localhost \
  -addext subjectAltName=DNS:shop.localhost -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
encoded() { base64 <"$1" | tr -d '\n'; }
cat >"$work/secret.yaml" <<SECRET
apiVersion: v1
kind: Secret
metadata: { name: shop-certificate }
type: kubernetes.io/tls
data:
  tls.crt: $(encoded "$work/certificate.pem")
  tls.key: $(encoded "$work/key.pem")
SECRET
cp "$work/certificate.pem" "$folder/../shop.pem"
mv "$work/secret.yaml" "$folder/certificate.yaml"
