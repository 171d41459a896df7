#!/usr/bin/env bash
# Makes the AWS deployment, or completes it, or brings it to what the settings say now. Running it twice
# changes nothing the second time.
set -euo pipefail
# shellcheck source=deploy/aws/settings.sh
. "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

usage() {
  cat <<'TEXT'
usage: deploy/aws/up.sh [--env FILE] [--dry-run] [--yes]
Makes the AWS deployment that docs/aws.md describes, or completes one. Needs the AWS CLI 2, and podman or
docker for images that ECR does not have yet.
  --env FILE  settings (default deploy/env/cloud.env); what only AWS needs is in deploy/env/aws.env
  --dry-run   print the calls that would change something, and make none
  --yes       do not ask whether the cost is all right
TEXT
}

parse_options "$@"

# What registers a target of QUIC. Asked of the CLI itself, without AWS.
check_cli() {
  local known
  if [[ $layout != quic ]]; then return; fi
  known=$(cli elbv2 register-targets --generate-cli-skeleton input)
  [[ $known == *QuicServerId* ]] ||
    fail "this AWS CLI is too old for ZTNA_AWS_LAYOUT=quic ($(aws --version)): it knows no QuicServerId. One of December 2025 or newer does."
}

# --- Cost

print_cost() {
  echo "Cost of this deployment in $region, from $here/prices.tsv (check the pages named there):"
  awk -F '\t' -v region="$region" -v layout="$layout" '
    /^#/ || NF < 6 { next }
    $1 == "use" { use[++n] = sprintf("  %-73s %7.3f / %s", $2, $4, $5); source[$6] = 1; next }
    $1 == "fixed" || $1 == layout {
      printf "  %-42s %7.1f × %8.6g / %-10s %7.2f\n", $2, $3, $4, $5, $3 * $4
      sum += $3 * $4; source[$6] = 1
    }
    END {
      printf "  %-42s %33s %7.2f dollars a month\n", "together", "", sum
      print "and by use:"
      for (i = 1; i <= n; i++) print use[i]
      print "sources:"
      for (page in source) print "  " page | "sort"
      close("sort")
      if (region != "us-east-2") print "These are prices of us-east-2; those of " region " differ."
    }' "$here/prices.tsv"
}

# --- ECR: a repository for each service, with an image in it

ensure_repository() {  # NAME
  repository_arn=$(find_repository "$1")
  if [[ -z $repository_arn ]]; then
    tell "repository $1" ecr create-repository --repository-name "$1" \
      --image-scanning-configuration scanOnPush=true --tags "$upper_tags$name"
  fi
}

image_digest() {  # REPOSITORY
  # Without an image of that tag the answer is an error; a list that may be empty is not.
  look_one ecr list-images --repository-name "$1" --filter tagStatus=TAGGED \
    --query "imageIds[?imageTag=='$ZTNA_AWS_IMAGE_VERSION'].imageDigest"
}

push_image() {  # REPOSITORY IMAGE
  local registry=$account.dkr.ecr.$region.amazonaws.com tool='' here=no each architecture
  if [[ $dry_run == yes ]]; then
    echo "podman push $2 $registry/$1:$ZTNA_AWS_IMAGE_VERSION" >&3
    return
  fi
  for each in podman docker; do
    if [[ $here == yes ]] || ! command -v "$each" >/dev/null; then continue; fi
    if "$each" image inspect "$2" >/dev/null 2>&1; then here=yes tool=$each; fi
    tool=${tool:-$each}
  done
  [[ -n $tool ]] ||
    fail "ECR has no image $1:$ZTNA_AWS_IMAGE_VERSION, and neither podman nor docker is here to push $2"
  if [[ $here == no ]]; then
    "$tool" pull --quiet --platform linux/amd64 "$2" >/dev/null ||
      fail "the image $2 is neither here nor in a registry; build it, or name another in $aws_env_file"
  fi
  architecture=$("$tool" image inspect --format '{{.Architecture}}' "$2")
  [[ $architecture == amd64 ]] ||
    fail "the image $2 is for $architecture, and its task runs on amd64: build it with --platform linux/amd64"
  cli ecr get-login-password | "$tool" login --username AWS --password-stdin "$registry" >/dev/null
  "$tool" tag "$2" "$registry/$1:$ZTNA_AWS_IMAGE_VERSION"
  "$tool" push "$registry/$1:$ZTNA_AWS_IMAGE_VERSION" >/dev/null
  echo "push $1" >>"$work/changes"
}

image_source_of() {  # SERVICE
  case $1 in
    app-connector) echo "$ZTNA_AWS_CONNECTOR_SOURCE" ;;
    http-app) echo "$ZTNA_AWS_HTTP_APP_SOURCE" ;;
    game-server) echo "$ZTNA_AWS_GAME_SERVER_SOURCE" ;;
  esac
}

declare -A image=()

ensure_images() {
  local service repository repository_arn digest
  say "images"
  for service in "${services[@]}"; do
    repository=$(repository_of "$service")
    ensure_repository "$repository"
    digest=
    if [[ -n $repository_arn ]]; then digest=$(image_digest "$repository"); fi
    if [[ -z $digest ]]; then
      push_image "$repository" "$(image_source_of "$service")"
      if [[ $dry_run == yes ]]; then digest='<digest>'; else digest=$(image_digest "$repository"); fi
      [[ -n $digest ]] || fail "ECR has no image $repository:$ZTNA_AWS_IMAGE_VERSION, although it was pushed"
    elif [[ $ZTNA_AWS_IMAGE_VERSION == latest ]]; then
      say "ECR has $repository:latest, which stays; a newer one comes under a new ZTNA_AWS_IMAGE_VERSION"
    fi
    # By digest: another image under the same tag makes another task definition.
    image[$service]=$account.dkr.ecr.$region.amazonaws.com/$repository@$digest
  done
}

# --- Certificates and policy: SecureString parameters, each readable by one role

ensure_parameter() {  # NAME FILE
  local stored
  if [[ " $stored_parameters " == *" $1 "* ]]; then
    stored=$(look ssm get-parameter --with-decryption --name "$1" --query Parameter.Value)
    if [[ $stored == "$(cat "$2")" ]]; then return; fi
    tell "$1" ssm put-parameter --name "$1" --type SecureString --overwrite --value "file://$(realpath "$2")"
  else
    tell "$1" ssm put-parameter --name "$1" --type SecureString --value "file://$(realpath "$2")" \
      --tags "$upper_tags$name"
  fi
}

ensure_parameters() {
  local file stored_parameters
  say "certificates and policy"
  stored_parameters=$(find_parameters)
  stored_parameters=${stored_parameters//[$'\t\n']/ }
  for file in ca-cert.pem cert.pem key.pem; do
    ensure_parameter "/$name/intermediate/$file" "$intermediate_certs/$file"
    ensure_parameter "/$name/app-connector/$file" "$connector_certs/$file"
  done
  ensure_parameter "/$name/intermediate/policy.toml" "$policy"
  ensure_parameter "/$name/app-connector/policy.toml" "$policy"
}

parameter_arns() {  # ROLE
  local file separator=
  for file in ca-cert.pem cert.pem key.pem policy.toml; do
    printf '%s"arn:aws:ssm:%s:%s:parameter/%s/%s/%s"' "$separator" "$region" "$account" "$name" "$1" "$file"
    separator=', '
  done
}

# --- Roles: the instance's, and one for each service by which ECS starts it. The daemons call no AWS
# service, so tasks have no role of their own.

statement() {  # ACTIONS RESOURCES
  printf '{"Effect": "Allow", "Action": [%s], "Resource": [%s]}' "$1" "$2"
}

ensure_role() {  # NAME SERVICE STATEMENT...
  local role=$1 principal=$2 found stored='' separator='' statement document trust
  shift 2
  trust='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
  trust+="\"Principal\": {\"Service\": \"$principal\"}"
  if [[ $principal == ecs-tasks.amazonaws.com ]]; then
    trust+=", \"Condition\": {\"StringEquals\": {\"aws:SourceAccount\": \"$account\"}}"
  fi
  trust+='}]}'
  found=$(find_role "$role")
  if [[ -z $found ]]; then
    tell "role $role" iam create-role --role-name "$role" --assume-role-policy-document "$trust" \
      --tags "$upper_tags$name"
  fi
  document='{"Version": "2012-10-17", "Statement": ['
  for statement in "$@"; do
    document+=$separator$statement
    separator=', '
  done
  document+=']}'
  if [[ -n $found ]]; then stored=$(look iam list-role-policies --role-name "$role" --query 'PolicyNames[]'); fi
  if [[ -n $stored ]]; then
    stored=$(look iam get-role-policy --role-name "$role" --policy-name "$role" --query PolicyDocument --output json)
  fi
  if [[ $(tr -d '[:space:]' <<<"$stored") != "$(tr -d '[:space:]' <<<"$document")" ]]; then
    tell "policy of $role" iam put-role-policy --role-name "$role" --policy-name "$role" --policy-document "$document"
  fi
}

ensure_roles() {
  local service arn keys='' separator='' found role=$name-intermediate
  local -a statements
  say "roles"
  statements=("$(statement '"ssm:GetParameters"' "$(parameter_arns intermediate)")")
  for arn in $(package_arns); do
    keys+="$separator\"$arn\""
    separator=', '
  done
  if [[ -n $keys ]]; then statements+=("$(statement '"s3:GetObject"' "$keys")"); fi
  ensure_role "$role" ec2.amazonaws.com "${statements[@]}"
  found=$(find_profile "$role")
  if [[ -z $found ]]; then
    tell "instance profile" iam create-instance-profile --instance-profile-name "$role" --tags "$upper_tags$name"
  fi
  found=$(look iam list-instance-profiles --query "InstanceProfiles[?InstanceProfileName=='$role'].Roles[].RoleName")
  if [[ -z $found ]]; then
    tell "its role" iam add-role-to-instance-profile --instance-profile-name "$role" --role-name "$role"
  fi

  for service in "${services[@]}"; do
    statements=(
      # AWS knows no narrower resource for this one.
      "$(statement '"ecr:GetAuthorizationToken"' '"*"')"
      "$(statement '"ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"' \
        "\"arn:aws:ecr:$region:$account:repository/$(repository_of "$service")\"")"
      "$(statement '"logs:CreateLogStream", "logs:PutLogEvents"' \
        "\"arn:aws:logs:$region:$account:log-group:$(log_group_of "$service"):log-stream:$service/*\"")"
    )
    if [[ $service == app-connector ]]; then
      statements+=("$(statement '"ssm:GetParameters"' "$(parameter_arns app-connector)")")
    fi
    ensure_role "$(execution_role_of "$service")" ecs-tasks.amazonaws.com "${statements[@]}"
  done
}

# --- Network

ensure_vpc() {
  local names
  vpc=$(find_vpc)
  if [[ -z $vpc ]]; then
    vpc=$(change vpc ec2 create-vpc --cidr-block "$ZTNA_AWS_VPC_CIDR" --tag-specifications "$(ec2_tags vpc "$name-vpc")" \
      --query Vpc.VpcId)
    await "the VPC" ec2 wait vpc-available --vpc-ids "$vpc"
  fi
  # A private DNS zone needs both; a new VPC has EnableDnsSupport.
  names=$(look ec2 describe-vpc-attribute --vpc-id "$vpc" --attribute enableDnsHostnames --query EnableDnsHostnames.Value)
  if [[ $names != True ]]; then tell "DNS host names" ec2 modify-vpc-attribute --vpc-id "$vpc" --enable-dns-hostnames; fi
}

ensure_subnet() {  # public|private CIDR
  local subnet
  subnet=$(find_subnet "$1")
  if [[ -z $subnet ]]; then
    subnet=$(change "$1-subnet" ec2 create-subnet --vpc-id "$vpc" --cidr-block "$2" --availability-zone "$ZTNA_AWS_ZONE" \
      --tag-specifications "$(ec2_tags subnet "$name-$1")" --query Subnet.SubnetId)
    await "the $1 subnet" ec2 wait subnet-available --subnet-ids "$subnet"
  fi
  printf %s "$subnet"
}

ensure_gateway() {
  local attached
  gateway=$(find_gateway)
  if [[ -z $gateway ]]; then
    gateway=$(change internet-gateway ec2 create-internet-gateway \
      --tag-specifications "$(ec2_tags internet-gateway "$name-igw")" --query InternetGateway.InternetGatewayId)
  fi
  attached=$(look ec2 describe-internet-gateways --internet-gateway-ids "$gateway" \
    --query 'InternetGateways[].Attachments[].VpcId')
  if [[ -z $attached ]]; then
    tell "attachment" ec2 attach-internet-gateway --internet-gateway-id "$gateway" --vpc-id "$vpc"
  fi
}

ensure_address() {  # NAME
  local address
  address=$(find_address "$1")
  if [[ -z $address ]]; then
    address=$(change "$1" ec2 allocate-address --domain vpc \
      --tag-specifications "$(ec2_tags elastic-ip "$name-$1")" --query AllocationId)
  fi
  printf %s "$address"
}

ensure_nat() {
  local address state
  nat=$(find_nat)
  if [[ -z $nat ]]; then
    address=$(ensure_address nat-ip)
    nat=$(change nat-gateway ec2 create-nat-gateway --subnet-id "$public" --allocation-id "$address" \
      --tag-specifications "$(ec2_tags natgateway "$name-nat")" --query NatGateway.NatGatewayId)
  fi
  state=$(look ec2 describe-nat-gateways --nat-gateway-ids "$nat" --query 'NatGateways[].State')
  if [[ $state != available ]]; then
    await "the NAT gateway (two minutes)" ec2 wait nat-gateway-available --nat-gateway-ids "$nat"
  fi
}

ensure_routes() {  # public|private SUBNET OPTION TARGET
  local table target associated
  table=$(find_route_table "$1")
  if [[ -z $table ]]; then
    table=$(change "$1-routes" ec2 create-route-table --vpc-id "$vpc" \
      --tag-specifications "$(ec2_tags route-table "$name-$1")" --query RouteTable.RouteTableId)
  fi
  target=$(look ec2 describe-route-tables --route-table-ids "$table" --query \
    "RouteTables[0].Routes[?DestinationCidrBlock=='$everywhere'] | [0].[GatewayId, NatGatewayId] | [?@]")
  if [[ -z $target ]]; then
    tell "route" ec2 create-route --route-table-id "$table" --destination-cidr-block "$everywhere" "$3" "$4"
  elif [[ $target != "$4" ]]; then  # a NAT gateway that is gone
    tell "route" ec2 replace-route --route-table-id "$table" --destination-cidr-block "$everywhere" "$3" "$4"
  fi
  associated=$(look ec2 describe-route-tables --route-table-ids "$table" \
    --query "RouteTables[].Associations[?SubnetId=='$2'].RouteTableAssociationId[]")
  if [[ -z $associated ]]; then
    tell "its subnet" ec2 associate-route-table --route-table-id "$table" --subnet-id "$2"
  fi
}

ensure_network() {
  say "network"
  ensure_vpc
  public=$(ensure_subnet public "$public_cidr")
  private=$(ensure_subnet private "$ZTNA_AWS_PRIVATE_CIDR")
  ensure_gateway
  ensure_routes public "$public" --gateway-id "$gateway"
  ensure_nat
  ensure_routes private "$private" --nat-gateway-id "$nat"
}

# --- Security groups: exactly these rules; what else is there is taken away

ensure_group() {  # NAME DESCRIPTION
  local group
  group=$(find_group "$1")
  if [[ -z $group ]]; then
    group=$(change "$1-sg" ec2 create-security-group --group-name "$name-$1-sg" --description "$2" --vpc-id "$vpc" \
      --tag-specifications "$(ec2_tags security-group "$name-$1-sg")" --query GroupId)
  fi
  printf %s "$group"
}

ensure_rules() {  # GROUP "PROTOCOL PORT SOURCE"...
  local group=$1 have id rule key protocol rule_port source option
  local -A there=() wanted=()  # by "PROTOCOL FROM TO SOURCE"
  local -a stale=()
  shift
  have=$(look ec2 describe-security-group-rules --filters "Name=group-id,Values=$group" --query \
    'SecurityGroupRules[?!IsEgress].[SecurityGroupRuleId, IpProtocol, to_string(FromPort), to_string(ToPort), CidrIpv4 || CidrIpv6 || ReferencedGroupInfo.GroupId || PrefixListId]')
  while read -r id rule; do
    if [[ -n $id ]]; then there[${rule//$'\t'/ }]=$id; fi
  done <<<"$have"
  for rule in "$@"; do
    read -r protocol rule_port source <<<"$rule"
    key="$protocol $rule_port $rule_port $source"
    if [[ -z ${there[$key]-}${wanted[$key]-} ]]; then
      option=--source-group
      if [[ $source == */* ]]; then option=--cidr; fi
      tell rule ec2 authorize-security-group-ingress --group-id "$group" --protocol "$protocol" --port "$rule_port" \
        "$option" "$source"
    fi
    wanted[$key]=yes
  done
  for key in "${!there[@]}"; do
    if [[ -z ${wanted[$key]-} ]]; then stale+=("${there[$key]}"); fi
  done
  if ((${#stale[@]} > 0)); then
    tell rules ec2 revoke-security-group-ingress --group-id "$group" --security-group-rule-ids "${stale[@]}"
  fi
}

ensure_groups() {
  local cidr
  local -a rules
  say "security groups"
  declare -gA group=()
  group[intermediate]=$(ensure_group intermediate "Intermediate Server")
  group[app-connector]=$(ensure_group app-connector "App Connector")
  group[http-app]=$(ensure_group http-app "HTTP app: from the Connector only")
  group[game-server]=$(ensure_group game-server "Game server: from the Connector only")
  group[nlb]=$(ensure_group nlb "Network Load Balancer")

  # One with a QUIC listener has no group: it asks from an address of its subnet.
  local -A asks_health=([udp]=${group[nlb]} [quic]=$public_cidr)
  rules=("udp $port $client_cidr" "udp $alt_port $client_cidr" "tcp $intermediate_health ${asks_health[$layout]}")
  if [[ -n ${ZTNA_AWS_KEY_PAIR-} ]]; then
    need ADMIN_ADDRESSES
    for cidr in ${ADMIN_ADDRESSES//,/ }; do
      if [[ $cidr != */* ]]; then cidr+=/32; fi
      rules+=("tcp 22 $cidr")
    done
  fi
  ensure_rules "${group[intermediate]}" "${rules[@]}"
  rules=("udp $p2p_port $client_cidr")
  if [[ $layout == udp ]]; then rules+=("udp $port $client_cidr"); fi
  ensure_rules "${group[nlb]}" "${rules[@]}"
  # The load balancer passes packets on with their sender's address.
  ensure_rules "${group[app-connector]}" "udp $p2p_port $client_cidr" "tcp $connector_health ${group[nlb]}"
  ensure_rules "${group[http-app]}" "tcp $http_port ${group[app-connector]}"
  ensure_rules "${group[game-server]}" "udp $game_port ${group[app-connector]}"
}

# --- Load balancers

ensure_load_balancer() {  # NAME [OPTION...]
  local arn ip
  arn=$(find_load_balancer "$name-$1")
  if [[ -z $arn ]]; then
    ip=$(ensure_address "$1-ip")
    arn=$(change "$1" elbv2 create-load-balancer --name "$name-$1" --type network --scheme internet-facing \
      --ip-address-type ipv4 --subnet-mappings "SubnetId=$public,AllocationId=$ip" "${@:2}" \
      --tags "$upper_tags$name" --query 'LoadBalancers[0].LoadBalancerArn')
  fi
  printf %s "$arn"
}

ensure_target_group() {  # NAME PROTOCOL PORT instance|ip HEALTH-PORT
  local arn attributes
  arn=$(find_target_group "$name-$1")
  if [[ -z $arn ]]; then
    arn=$(change "$1-targets" elbv2 create-target-group --name "$name-$1" --protocol "$2" --port "$3" --target-type "$4" \
      --vpc-id "$vpc" --health-check-protocol TCP --health-check-port "$5" \
      --health-check-interval-seconds 10 --healthy-threshold-count 2 --unhealthy-threshold-count 2 \
      --tags "$upper_tags$name" --query 'TargetGroups[0].TargetGroupArn')
  fi
  # A target that leaves keeps its flows for 30 seconds; then they go to the one that is there.
  attributes=$(look elbv2 describe-target-group-attributes --target-group-arn "$arn" --query \
    "Attributes[?Key=='deregistration_delay.timeout_seconds' || Key=='deregistration_delay.connection_termination.enabled'].Value | sort(@)")
  if [[ $attributes != 30$'\t'true ]]; then
    tell "attributes of $1" elbv2 modify-target-group-attributes --target-group-arn "$arn" --attributes \
      Key=deregistration_delay.timeout_seconds,Value=30 \
      Key=deregistration_delay.connection_termination.enabled,Value=true
  fi
  printf %s "$arn"
}

ensure_listener() {  # LOAD-BALANCER PROTOCOL PORT TARGET-GROUP
  local found
  found=$(find_listener "$1" "$3")
  if [[ -z $found ]]; then
    tell "listener $2 $3" elbv2 create-listener --load-balancer-arn "$1" --protocol "$2" --port "$3" \
      --default-actions "Type=forward,TargetGroupArn=$4" --tags "$upper_tags$name"
  fi
}

await_load_balancer() {  # NAME ARN
  local state
  state=$(look elbv2 describe-load-balancers --load-balancer-arns "$2" --query 'LoadBalancers[0].State.Code')
  if [[ $state != active ]]; then
    await "the load balancer $1 (three minutes)" elbv2 wait load-balancer-available --load-balancer-arns "$2"
  fi
}

public_address() {  # ADDRESS-NAME
  local address
  address=$(look ec2 describe-addresses --filters "Name=tag:ztna-deployment,Values=$name" "Name=tag:Name,Values=$name-$1" \
    --query 'Addresses[].PublicIp')
  echo "${address:-<$1>}"
}

# A QUIC listener stands on a load balancer without a security group and without UDP listeners: beside one, then.
ensure_load_balancers() {
  local balancer front=nlb arn
  say "load balancers"
  intermediate_targets=$(ensure_target_group "${intermediate_group[$layout]}" "${layout^^}" "$port" instance \
    "$intermediate_health")
  connector_targets=$(ensure_target_group app-connector UDP "$p2p_port" ip "$connector_health")
  balancer=$(ensure_load_balancer nlb --security-groups "${group[nlb]}")
  ensure_listener "$balancer" UDP "$p2p_port" "$connector_targets"
  arn=$balancer
  if [[ $layout == quic ]]; then
    front=quic
    arn=$(ensure_load_balancer quic)
  fi
  ensure_listener "$arn" "${layout^^}" "$port" "$intermediate_targets"
  # The addresses stay.
  address=$(public_address "$front-ip")
  p2p_address=$(public_address nlb-ip)
  await_load_balancer nlb "$balancer"
  if [[ $layout == quic ]]; then await_load_balancer quic "$arn"; fi
}

# --- The Intermediate

# Another one for each machine, and no more than its id is needed to know it: the machine makes the same of it.
# AWS wants it unique, also while the machine that this one replaces is still leaving.
quic_server_id() {  # INSTANCE
  if [[ $1 == '<'* ]]; then
    echo '<server-id>'
  else
    printf '0x%s' "$(printf %s "$1" | sha256sum | cut -c 1-16)"
  fi
}

register_intermediate() {  # INSTANCE
  local found target="Id=$1,Port=$port"
  found=$(look elbv2 describe-target-health --target-group-arn "$intermediate_targets" \
    --query "TargetHealthDescriptions[?Target.Id=='$1' && TargetHealth.State!='draining'].Target.Id")
  if [[ -n $found ]]; then return; fi
  if [[ $layout == quic ]]; then target+=",QuicServerId=$(quic_server_id "$1")"; fi
  tell "target" elbv2 register-targets --target-group-arn "$intermediate_targets" --targets "$target"
}

ensure_intermediate() {
  local id state=pending started made ami
  local -a key=()
  say "the Intermediate"
  write_user_data
  made=$(sha256sum <"$work/user-data" | cut -c 1-16)
  id=$(find_instance)
  if [[ -z $id ]]; then
    ami=$(look ssm get-parameter --name "$ZTNA_AWS_AMI_PARAMETER" --query Parameter.Value)
    if [[ -n ${ZTNA_AWS_KEY_PAIR-} ]]; then key=(--key-name "$ZTNA_AWS_KEY_PAIR"); fi
    id=$(change instance ec2 run-instances --image-id "${ami:-<ami>}" --instance-type "$ZTNA_AWS_INSTANCE_TYPE" \
      --count 1 --subnet-id "$public" --security-group-ids "${group[intermediate]}" --associate-public-ip-address \
      --iam-instance-profile "Name=$name-intermediate" --user-data "file://$work/user-data" "${key[@]}" \
      --metadata-options HttpTokens=required,HttpEndpoint=enabled \
      --block-device-mappings 'DeviceName=/dev/sda1,Ebs={VolumeSize=8,VolumeType=gp3,Encrypted=true,DeleteOnTermination=true}' \
      --tag-specifications "$(ec2_tags instance "$name-intermediate" "ztna-user-data=$made")" \
      "$(ec2_tags volume "$name-intermediate")" --query 'Instances[0].InstanceId')
  else
    state=$(look ec2 describe-instances --instance-ids "$id" --query 'Reservations[].Instances[].State.Name')
    started=$(look ec2 describe-instances --instance-ids "$id" \
      --query "Reservations[].Instances[].Tags[?Key=='ztna-user-data'].Value[]")
    if [[ $started != "$made" ]]; then
      say "the Intermediate $id was started with other settings (packages, ports). To have it anew:"
      say "    aws --region $region ec2 terminate-instances --instance-ids $id    and then $program again"
    fi
  fi
  if [[ $state == stopping ]]; then
    await "the Intermediate to stop" ec2 wait instance-stopped --instance-ids "$id"
    state=stopped
  fi
  if [[ $state == stopped ]]; then tell "start" ec2 start-instances --instance-ids "$id"; fi
  if [[ $state != running ]]; then await "the Intermediate" ec2 wait instance-running --instance-ids "$id"; fi
  register_intermediate "$id"
  intermediate=$id
}

# It installs itself at its first start, while all else is made.
await_intermediate() {
  local health
  health=$(look elbv2 describe-target-health --target-group-arn "$intermediate_targets" --targets "Id=$intermediate" \
    --query 'TargetHealthDescriptions[].TargetHealth.State')
  if [[ $health == healthy || $dry_run == yes ]]; then return; fi
  say "when it does not become healthy: aws --region $region ec2 get-console-output --latest --instance-id $intermediate"
  await "the Intermediate to be ready (up to 10 minutes)" elbv2 wait target-in-service \
    --target-group-arn "$intermediate_targets" --targets "Id=$intermediate"
}

# --- Names for the backends: http-app.NAME.internal, game-server.NAME.internal

ensure_registry() {  # SERVICE
  local found
  found=$(find_registry "$namespace" "$1")
  if [[ -z $found ]]; then
    tell "name of $1" servicediscovery create-service --name "$1" --namespace-id "$namespace" \
      --dns-config 'RoutingPolicy=MULTIVALUE,DnsRecords=[{Type=A,TTL=10}]' \
      --health-check-custom-config FailureThreshold=1 --tags "$upper_tags$name"
  fi
}

ensure_names() {
  local operation
  say "names"
  namespace=$(find_namespace)
  if [[ -z $namespace ]]; then
    operation=$(change namespace servicediscovery create-private-dns-namespace --name "$name.internal" --vpc "$vpc" \
      --tags "$upper_tags$name" --query OperationId)
    await_operation "the private DNS zone" "$operation"
    namespace=$(find_namespace)
    namespace=${namespace:-<namespace>}
  fi
  ensure_registry http-app
  ensure_registry game-server
}

# --- ECS

ensure_cluster() {
  local service log_group found
  say "cluster"
  for service in "${services[@]}"; do
    log_group=$(log_group_of "$service")
    found=$(find_log_group "$log_group")
    if [[ -z $found ]]; then
      tell "log group $log_group" logs create-log-group --log-group-name "$log_group" --tags "ztna-deployment=$name"
    fi
    found=$(look logs describe-log-groups --log-group-name-prefix "$log_group" \
      --query "logGroups[?logGroupName=='$log_group'].retentionInDays")
    if [[ $found != 14 ]]; then
      tell "its retention" logs put-retention-policy --log-group-name "$log_group" --retention-in-days 14
    fi
  done
  cluster=$(find_cluster)
  if [[ -z $cluster ]]; then
    tell cluster ecs create-cluster --cluster-name "$name-cluster" --tags "$lower_tags$name"
    if [[ $dry_run == no ]]; then cluster=$name-cluster; fi
  fi
}

log_options() {  # SERVICE
  cat <<TEXT
"logConfiguration": {"logDriver": "awslogs", "options": {
        "awslogs-group": "$(log_group_of "$1")", "awslogs-region": "$region", "awslogs-stream-prefix": "$1"}}
TEXT
}

pair() { printf '{"name": "%s", "value": "%s"}' "$1" "$2"; }
secret() {  # VARIABLE FILE
  printf '{"name": "%s", "valueFrom": "arn:aws:ssm:%s:%s:parameter/%s/app-connector/%s"}' "$1" "$region" "$account" "$name" "$2"
}

definition_head() {  # SERVICE
  cat <<TEXT
  "family": "$name-$1",
  "networkMode": "awsvpc",
  "requiresCompatibilities": ["FARGATE"],
  "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
  "cpu": "256",
  "memory": "512",
  "executionRoleArn": "arn:aws:iam::$account:role/$(execution_role_of "$1")",
TEXT
}

# ECS hands secrets to a container as variables, and the Connector reads files: a first container writes
# them to a folder in the task, and ends. In the Connector's own environment there is no secret.
connector_definition() {
  local write host=${INTERMEDIATE_HOST-}
  write="umask 077 && cd /certs"
  write+=" && printenv CA >ca-cert.pem && printenv CERT >cert.pem && printenv KEY >key.pem && printenv POLICY >policy.toml"
  write+=" && chown -R $ZTNA_AWS_CONNECTOR_USER ."
  cat <<TEXT
{
$(definition_head app-connector)
  "volumes": [{"name": "certs"}],
  "containerDefinitions": [
    {
      "name": "certificates",
      "image": "${image[app-connector]}",
      "essential": false,
      "user": "0:0",
      "entryPoint": ["/bin/sh", "-c"],
      "command": ["$write"],
      "secrets": [$(secret CA ca-cert.pem), $(secret CERT cert.pem), $(secret KEY key.pem), $(secret POLICY policy.toml)],
      "environment": [$(pair VERSION "$(certificates_version)")],
      "mountPoints": [{"sourceVolume": "certs", "containerPath": "/certs"}],
      $(log_options app-connector)
    },
    {
      "name": "app-connector",
      "image": "${image[app-connector]}",
      "essential": true,
      "user": "$ZTNA_AWS_CONNECTOR_USER",
      "readonlyRootFilesystem": true,
      "stopTimeout": 30,
      "dependsOn": [{"containerName": "certificates", "condition": "SUCCESS"}],
      "portMappings": [{"containerPort": $p2p_port, "protocol": "udp"}],
      "environment": [
        $(pair ZTNA_INTERMEDIATE "${host:-$address}:$port"),
        $(pair ZTNA_SERVICE "$SERVICE_ID=tcp://http-app.$name.internal:$http_port,$ZTNA_AWS_GAME_SERVICE_ID=udp://game-server.$name.internal:$game_port"),
        $(pair CERT_DIR "$CERT_DIR"),
        $(pair ZTNA_P2P_LISTEN_PORT "$p2p_port"),
        $(pair ZTNA_P2P_ADVERTISE "$p2p_address:$p2p_port"),
        $(pair ZTNA_HEALTH "0.0.0.0:$connector_health"),
        $(pair ZTNA_CONTROL off),
        $(pair ZTNA_LOG_FORMAT json)
      ],
      "mountPoints": [{"sourceVolume": "certs", "containerPath": "$CERT_DIR", "readOnly": true}],
      $(log_options app-connector)
    }
  ]
}
TEXT
}

backend_definition() {  # SERVICE PORT PROTOCOL [VARIABLE...]
  cat <<TEXT
{
$(definition_head "$1")
  "containerDefinitions": [
    {
      "name": "$1",
      "image": "${image[$1]}",
      "essential": true,
      "environment": [${*:4}],
      "portMappings": [{"containerPort": $2, "protocol": "$3"}],
      $(log_options "$1")
    }
  ]
}
TEXT
}

# The newest revision that was made of this very text, else a new one.
ensure_definition() {  # SERVICE, text in $work/SERVICE.json
  local family=$name-$1 made arns newest=''
  made=$(sha256sum <"$work/$1.json" | cut -c 1-16)
  arns=$(find_task_definitions "$family" ACTIVE)
  if [[ -n $arns ]]; then
    newest=$(look ecs describe-task-definition --task-definition "${arns%%[[:space:]]*}" --include TAGS \
      --query "[taskDefinition.taskDefinitionArn, tags[?key=='ztna-definition'].value|[0]]")
  fi
  if [[ $newest == *$'\t'"$made" ]]; then
    printf %s "${newest%%$'\t'*}"
  else
    change "definition-of-$1" ecs register-task-definition --cli-input-json "file://$work/$1.json" \
      --tags "$lower_tags$name" "key=ztna-definition,value=$made" --query taskDefinition.taskDefinitionArn
  fi
}

ensure_service() {  # SERVICE [OPTION...]
  local service=$1 definition running found=''
  shift
  definition=$(ensure_definition "$service")
  if [[ -n $cluster ]]; then found=$(find_service "$service"); fi
  if [[ -z $found ]]; then
    tell "service $service" ecs create-service --cluster "$name-cluster" --service-name "$service" \
      --task-definition "$definition" --desired-count 1 --launch-type FARGATE --platform-version 1.4.0 \
      --network-configuration "awsvpcConfiguration={subnets=[$private],securityGroups=[${group[$service]}],assignPublicIp=DISABLED}" \
      --deployment-configuration 'deploymentCircuitBreaker={enable=true,rollback=true},maximumPercent=200,minimumHealthyPercent=100' \
      --propagate-tags SERVICE --tags "$lower_tags$name" "$@"
    return
  fi
  running=$(look ecs describe-services --cluster "$name-cluster" --services "$service" \
    --query 'services[].[taskDefinition, to_string(desiredCount)][]')
  if [[ $running != "$definition"$'\t'1 ]]; then
    tell "service $service" ecs update-service --cluster "$name-cluster" --service "$service" \
      --task-definition "$definition" --desired-count 1
  fi
}

registry_option() {  # SERVICE
  local arn
  arn=$(find_registry "$namespace" "$1" Arn)
  echo "registryArn=${arn:-<name-of-$1>}"
}

ensure_services() {
  local http_name game_name
  say "services"
  http_name=$(registry_option http-app)
  game_name=$(registry_option game-server)
  backend_definition http-app "$http_port" tcp "$(pair PORT "$http_port")" >"$work/http-app.json"
  backend_definition game-server "$game_port" udp "$(pair GAME_PORT "$game_port")" >"$work/game-server.json"
  connector_definition >"$work/app-connector.json"
  ensure_service http-app --service-registries "$http_name"
  ensure_service game-server --service-registries "$game_name"
  ensure_service app-connector --health-check-grace-period-seconds 60 --load-balancers \
    "targetGroupArn=$connector_targets,containerName=app-connector,containerPort=$p2p_port"
  if [[ -n $cluster ]]; then
    await "the services (a few minutes)" ecs wait services-stable --cluster "$name-cluster" --services "${services[@]}"
  fi
}

load_settings
check_settings
find_account
check_cli
refuse_another_layout
refuse_other_ports "${intermediate_group[$layout]}" "$port" "$intermediate_health"
refuse_other_ports app-connector "$p2p_port" "$connector_health"
print_cost
confirm "Make or complete the deployment $name in $region?"
ensure_images
ensure_parameters
ensure_roles
ensure_network
ensure_groups
ensure_load_balancers
ensure_intermediate
ensure_names
ensure_cluster
ensure_services
await_intermediate

if [[ $dry_run == yes ]]; then
  say "dry run: nothing was changed"
  exit 0
fi
count=$(changes)
say "done: $count changes"
echo "INTERMEDIATE_HOST=$address"
echo "INTERMEDIATE_PORT=$port"
