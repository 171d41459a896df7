#!/usr/bin/env bash
# A public certificate for an Intermediate, by certbot, and its renewal. To be run on its machine, as root.
# Run again after a failure, it goes on: a certificate that certbot has already is put in place.
set -euo pipefail
shopt -s extglob
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../env/load.sh
. "$here/../env/load.sh"

usage() {
  cat <<'TEXT'
usage: deploy/certbot/obtain.sh --env FILE --cert-dir DIR [-- CERTBOT-OPTION…]
  --env FILE      names INTERMEDIATE_HOST, which must be a DNS name that leads here
  --cert-dir DIR  the Intermediate's, with the private CA's ca-cert.pem in it
Let's Encrypt connects to TCP 80 of this machine while certbot runs (http-01). Where that cannot be, give
certbot another way after --, for example: -- --dns-digitalocean --dns-digitalocean-credentials FILE
TEXT
}

fail() {
  echo "obtain.sh: $1" >&2
  exit 1
}

env_file='' cert_dir=''
while (($# > 0)); do
  case $1 in
    --env | --cert-dir)
      (($# >= 2)) || { usage >&2 && exit 2; }
      if [[ $1 == --env ]]; then env_file=$2; else cert_dir=$2; fi
      shift
      ;;
    --help) usage && exit 0 ;;
    --) shift && break ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done
[[ -n $env_file && -n $cert_dir ]] || { usage >&2 && exit 2; }

load_env "$env_file" INTERMEDIATE_HOST || exit
if [[ $INTERMEDIATE_HOST =~ ^[0-9.]+$ || $INTERMEDIATE_HOST == *:* ]]; then
  fail "INTERMEDIATE_HOST in $env_file is the address $INTERMEDIATE_HOST: public CAs certify DNS names"
fi
command -v certbot >/dev/null || fail "certbot is not installed: apt-get install certbot"
[[ -r $cert_dir/ca-cert.pem ]] || fail "there is no ca-cert.pem in $cert_dir"
cert_dir=$(cd "$cert_dir" && pwd)

# certbot keeps the hook's path for the renewals, so it must not lie in somebody's clone.
hook=${ZTNA_CERTBOT_HOOK:-/usr/local/sbin/ztna-certbot-hook}
install -D -m 0755 "$here/ztna-certbot-hook" "$hook"

# certbot gives the hook to a shell.
command=(certbot certonly --non-interactive --agree-tos --keep-until-expiring --key-type ecdsa
  --cert-name "$INTERMEDIATE_HOST" -d "$INTERMEDIATE_HOST" --deploy-hook "$hook $(printf %q "$cert_dir")")
has_option() {  # PATTERN, of the options for certbot
  local option
  for option in "${options[@]+"${options[@]}"}"; do
    # shellcheck disable=SC2254  # a pattern
    case $option in $1) return 0 ;; esac
  done
  return 1
}
options=("$@") config=/etc/letsencrypt
for ((i = 0; i < ${#options[@]}; i++)); do
  case ${options[i]} in
    --config-dir) config=${options[i + 1]:-} ;;
    --config-dir=*) config=${options[i]#*=} ;;
  esac
done
if has_option '--cert-name?(=*)'; then
  usage >&2
  echo "obtain.sh: --cert-name is INTERMEDIATE_HOST, for the renewals" >&2
  exit 2
fi
if ! has_option '@(-a|--@(dns-*|webroot|nginx|apache|manual|authenticator)?(=*))'; then command+=(--standalone); fi
if ! has_option '@(-m|--email)?(=*)'; then command+=(--register-unsafely-without-email); fi
"${command[@]}" "$@"

if has_option --dry-run; then exit; fi
# Once more, by ourselves: certbot runs it for a new certificate only, and calls it a success when it has failed.
RENEWED_LINEAGE=$config/live/$INTERMEDIATE_HOST "$hook" "$cert_dir"
