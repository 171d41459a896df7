#!/usr/bin/env bash
# Makes an Intermediate of a new Ubuntu 24.04: cloud-init runs it once, as root, at the first start. up.sh
# writes the assignments of these variables before it:
#   region, parameters   where the certificates and the policy are: Parameter Store, PARAMETERS/NAME
#   packages             URLs of the .deb files, https or s3
#   package_sums         their SHA-256 in the same order, or nothing
#   cert_dir             where the certificates go
#   listen, alt_listen, health    the daemon's options
#   layout               quic: behind a load balancer that reads connection ids
# It may be run again. DESTDIR goes before every path that it writes to.
set -euo pipefail
export PATH=$PATH:/snap/bin AWS_PAGER='' DEBIAN_FRONTEND=noninteractive
: "${region:?}" "${parameters:?}" "${packages:?}" "${package_sums?}" "${cert_dir:?}" "${listen:?}" "${alt_listen:?}" "${health:?}" "${layout:?}"
root=${DESTDIR:-}

fetch() {  # URL FILE
  local location=${1#s3://}
  case $1 in
    s3://*)
      aws --region "$region" s3api get-object --bucket "${location%%/*}" --key "${location#*/}" "$2" >/dev/null
      ;;
    https://*) curl --proto '=https' --fail --silent --show-error --location --retry 5 --output "$2" "$1" ;;
    *) echo "user data: $1 is neither https:// nor s3://" >&2 && return 1 ;;
  esac
}

install_packages() {
  local folder url file number=0
  local -a files=() sums
  folder=$(mktemp -d)
  read -r -a sums <<<"$package_sums"
  # shellcheck disable=SC2086  # one word a package
  set -- $packages
  if ((${#sums[@]} > 0 && ${#sums[@]} != $#)); then
    echo "user data: $# packages and ${#sums[@]} sums" >&2
    return 1
  fi
  for url in "$@"; do
    file=$folder/${url##*/}
    fetch "$url" "$file"
    if ((${#sums[@]} > 0)); then echo "${sums[number]}  $file" | sha256sum --check --quiet; fi
    files+=("$file")
    number=$((number + 1))
  done
  chmod -R a+rX "$folder"
  apt-get update --quiet
  apt-get install --yes --no-install-recommends "${files[@]}"
  rm -rf "$folder"
}

# The 8 octets by which the load balancer knows this machine: up.sh makes the same of the instance's id.
quic_server_id() {
  local instance
  instance=$(cat "$root/var/lib/cloud/data/instance-id")
  printf '0x%s' "$(printf %s "$instance" | sha256sum | cut -c 1-16)"
}

# Where the daemon's unit reads its options from.
write_options() {
  install -d -m 755 "$root/etc/ztna"
  cat >"$root/etc/ztna/intermediate.env" <<TEXT
ZTNA_LISTEN=$listen
ZTNA_ALT_LISTEN=$alt_listen
ZTNA_HEALTH=$health
CERT_DIR=$cert_dir
ZTNA_POLICY=$cert_dir/policy.toml
TEXT
  if [[ $layout == quic ]]; then
    echo "ZTNA_QUIC_LB_SERVER_ID=$(quic_server_id)" >>"$root/etc/ztna/intermediate.env"
  fi
}

# Fetches certificates and policy; a change reloads the daemon, which drops no session for it. An hourly
# timer runs it, so a renewed certificate needs no more than up.sh at the administrator's.
write_secrets_program() {
  install -d -m 755 "$root/usr/local/sbin" "$root/etc/systemd/system"
  cat >"$root/usr/local/sbin/ztna-fetch-secrets" <<TEXT
#!/usr/bin/env bash
set -euo pipefail
export PATH=\$PATH:/snap/bin AWS_PAGER=''
umask 077
(umask 022 && mkdir -p "$root$cert_dir")
cd "$root$cert_dir"
chgrp ztna-intermediate .
chmod 750 .
rm -rf .new
trap 'rm -rf .new' EXIT  # a copy of the key
mkdir .new
for file in ca-cert.pem cert.pem key.pem policy.toml; do
  # Of a parameter that is not there, the CLI prints None.
  value=\$(aws --region "$region" --output text ssm get-parameters --with-decryption \\
    --names "$parameters/\$file" --query 'Parameters[0].Value')
  if [[ -z \$value || \$value == None ]]; then
    echo "ztna-fetch-secrets: there is no parameter $parameters/\$file; nothing was changed" >&2
    exit 1
  fi
  printf '%s\\n' "\$value" >".new/\$file"
done
# Assigned first: in a comparison, two that cannot be read would be equal.
openssl x509 -in .new/ca-cert.pem -noout
certified=\$(openssl x509 -in .new/cert.pem -noout -pubkey)
own=\$(openssl pkey -in .new/key.pem -pubout)
# up.sh may be between the two, and the next hour sees both.
if [[ \$certified != "\$own" ]]; then
  echo "ztna-fetch-secrets: the key is not the certificate's; nothing was changed. Run up.sh with a pair." >&2
  exit 1
fi
chgrp ztna-intermediate .new/*
chmod 640 .new/*
for file in ca-cert.pem cert.pem key.pem policy.toml; do
  if cmp --quiet ".new/\$file" "\$file"; then continue; fi
  touch .reload  # stays until the daemon knows, whatever happens between here and there
  mv ".new/\$file" "\$file"
done
if [[ -e .reload ]]; then
  systemctl try-reload-or-restart ztna-intermediate.service
  rm .reload
fi
TEXT
  chmod 755 "$root/usr/local/sbin/ztna-fetch-secrets"
  cat >"$root/etc/systemd/system/ztna-fetch-secrets.service" <<TEXT
[Unit]
Description=Fetch the Intermediate's certificates and policy
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/ztna-fetch-secrets
TEXT
  cat >"$root/etc/systemd/system/ztna-fetch-secrets.timer" <<TEXT
[Unit]
Description=Fetch the Intermediate's certificates and policy every hour

[Timer]
OnBootSec=1min
OnUnitActiveSec=1h
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
TEXT
}

snap wait system seed.loaded
snap install aws-cli --classic
# First the package, whose unit waits to be configured: it makes the group that may read the key.
install_packages
write_options
write_secrets_program
"$root/usr/local/sbin/ztna-fetch-secrets"
systemctl daemon-reload
systemctl enable --now ztna-fetch-secrets.timer
systemctl enable ztna-intermediate.service
systemctl restart ztna-intermediate.service
