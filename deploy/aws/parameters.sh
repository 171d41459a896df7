#!/usr/bin/env bash
# Prints what cloudformation.yaml wants to know, one NAME=VALUE a line, from the same settings that up.sh reads.
# Asks nobody and changes nothing.
set -euo pipefail
# shellcheck source=deploy/aws/settings.sh
. "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

usage() {
  cat <<'TEXT'
usage: deploy/aws/parameters.sh [--env FILE]
Prints the settings as parameters of deploy/aws/cloudformation.yaml:
    aws cloudformation deploy --template-file deploy/aws/cloudformation.yaml --stack-name ztna \
        --capabilities CAPABILITY_NAMED_IAM --parameter-overrides $(deploy/aws/parameters.sh)
  --env FILE  settings (default deploy/env/cloud.env); what only AWS needs is in deploy/env/aws.env
TEXT
}

admin_cidr() {
  if [[ -z ${ZTNA_AWS_KEY_PAIR-} ]]; then return; fi
  need ADMIN_ADDRESSES
  [[ $ADMIN_ADDRESSES != *,* ]] || fail "the template takes one ADMIN_ADDRESSES, not $ADMIN_ADDRESSES" 2
  if [[ $ADMIN_ADDRESSES == */* ]]; then echo "$ADMIN_ADDRESSES"; else echo "$ADMIN_ADDRESSES/32"; fi
}

# Compressed, which cloud-init reads as well: a parameter has 4096 octets at most.
user_data() {
  local encoded
  write_user_data
  encoded=$(gzip -9 --no-name <"$work/user-data" | base64 | tr -d '\n')
  ((${#encoded} <= 4096)) || fail "the user data has ${#encoded} octets, more than a parameter takes; name fewer packages"
  echo "$encoded"
}

# shellcheck disable=SC2153  # capitals are settings
print_parameters() {
  local admin data arns
  admin=$(admin_cidr)
  data=$(user_data)
  arns=$(package_arns | paste -sd , -)
  cat <<TEXT
Name=$name
Zone=$ZTNA_AWS_ZONE
VpcCidr=$ZTNA_AWS_VPC_CIDR
PublicCidr=$public_cidr
PrivateCidr=$ZTNA_AWS_PRIVATE_CIDR
ClientCidr=$client_cidr
AdminCidr=$admin
KeyPair=${ZTNA_AWS_KEY_PAIR-}
InstanceType=$ZTNA_AWS_INSTANCE_TYPE
ImageId=$ZTNA_AWS_AMI_PARAMETER
UserData=$data
PackageArns=$arns
IntermediateHost=${INTERMEDIATE_HOST-}
IntermediatePort=$port
StunAltPort=$alt_port
IntermediateHealthPort=$intermediate_health
P2pPort=$p2p_port
ConnectorHealthPort=$connector_health
ConnectorUser=$ZTNA_AWS_CONNECTOR_USER
CertDir=$CERT_DIR
CertificatesVersion=$(certificates_version)
ServiceId=$SERVICE_ID
HttpAppPort=$http_port
GameServiceId=$ZTNA_AWS_GAME_SERVICE_ID
GameServerPort=$game_port
ImageVersion=$ZTNA_AWS_IMAGE_VERSION
TEXT
}

parse_options "$@"
load_settings
check_settings
[[ $layout == udp ]] || fail "the template has the layout udp only; ZTNA_AWS_LAYOUT is $layout" 2
print_parameters
