#!/usr/bin/env bash
# Removes all that up.sh makes, in whatever state a run of it ended: what carries the tag
# ztna-deployment=NAME, and nothing else. May be run again, too.
set -euo pipefail
# shellcheck source=deploy/aws/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: deploy/aws/down.sh [--env FILE] [--dry-run] [--yes]
Removes the AWS deployment, with its images, logs and certificates there.
  --env FILE  settings (default deploy/env/cloud.env); what only AWS needs is in deploy/env/aws.env
  --dry-run   print the calls that would remove something, and make none
  --yes       do not ask
TEXT
}

remove_services() {
  local cluster service found arn arns
  local -a leaving=()
  cluster=$(find_cluster)
  for service in "${services[@]}"; do
    if [[ -z $cluster ]]; then continue; fi
    found=$(find_service "$service")
    if [[ -n $found ]]; then
      tell "service $service" ecs delete-service --cluster "$cluster" --service "$service" --force
      leaving+=("$service")
    else
      found=$(find_service "$service" DRAINING)
      if [[ -n $found ]]; then leaving+=("$service"); fi
    fi
  done
  if ((${#leaving[@]} > 0)); then
    await "the services to end" ecs wait services-inactive --cluster "$cluster" --services "${leaving[@]}"
  fi
  for service in "${services[@]}"; do
    arns=$(find_task_definitions "$name-$service" ACTIVE)
    for arn in $arns; do
      if [[ $arn != None ]]; then
        tell "task definition" ecs deregister-task-definition --task-definition "$arn"
      fi
    done
  done
  if [[ -n $cluster ]]; then tell cluster ecs delete-cluster --cluster "$cluster"; fi
}

remove_names() {
  local namespace service registry operation
  namespace=$(find_namespace)
  if [[ -z $namespace ]]; then return; fi
  for service in http-app game-server; do
    registry=$(find_registry "$namespace" "$service")
    if [[ -n $registry ]]; then tell "name of $service" servicediscovery delete-service --id "$registry"; fi
  done
  operation=$(change namespace servicediscovery delete-namespace --id "$namespace" --query OperationId)
  await_operation "the end of the private DNS zone" "$operation"
}

# Those of either layout.
remove_load_balancers() {
  local arn listener listeners balancer
  for balancer in nlb quic; do
    arn=$(find_load_balancer "$name-$balancer")
    if [[ -z $arn ]]; then continue; fi
    listeners=$(look elbv2 describe-listeners --load-balancer-arn "$arn" --query 'Listeners[].ListenerArn')
    for listener in $listeners; do
      tell listener elbv2 delete-listener --listener-arn "$listener"
    done
    tell "load balancer $balancer" elbv2 delete-load-balancer --load-balancer-arn "$arn"
    await "the load balancer to go" elbv2 wait load-balancers-deleted --load-balancer-arns "$arn"
  done
}

remove_target_groups() {
  local arn group
  for group in "${intermediate_group[@]}" app-connector; do
    arn=$(find_target_group "$name-$group")
    if [[ -n $arn ]]; then tell "target group $group" elbv2 delete-target-group --target-group-arn "$arn"; fi
  done
}

remove_intermediate() {
  local id leaving
  id=$(find_instance)
  if [[ -n $id ]]; then tell instance ec2 terminate-instances --instance-ids "$id"; fi
  # Also one that an earlier run told to end.
  leaving=$(ec2_find describe-instances 'Reservations[].Instances[].InstanceId' "$name-intermediate" \
    "Name=instance-state-name,Values=shutting-down")
  id=${id:-$leaving}
  if [[ -n $id ]]; then await "the Intermediate to end" ec2 wait instance-terminated --instance-ids "$id"; fi
}

remove_nat() {
  local nat standing leaving
  # AWS keeps one that failed for an hour, beside the one that took its place.
  standing=$(find_nats pending,available,failed)
  leaving=$(find_nats deleting)
  for nat in $standing; do tell "NAT gateway" ec2 delete-nat-gateway --nat-gateway-id "$nat"; done
  for nat in $standing $leaving; do
    await "the NAT gateway to go (a minute)" ec2 wait nat-gateway-deleted --nat-gateway-ids "$nat"
  done
}

remove_addresses() {
  local address id
  for address in nat-ip nlb-ip quic-ip; do
    id=$(find_address "$address")
    if [[ -n $id ]]; then tell "$address" ec2 release-address --allocation-id "$id"; fi
  done
}

remove_network() {
  local vpc gateway subnet table association associations id rule group
  vpc=$(find_vpc)
  gateway=$(find_gateway)
  if [[ -n $gateway ]]; then
    id=$(look ec2 describe-internet-gateways --internet-gateway-ids "$gateway" \
      --query 'InternetGateways[].Attachments[].VpcId')
    if [[ -n $id ]]; then
      tell attachment ec2 detach-internet-gateway --internet-gateway-id "$gateway" --vpc-id "$id"
    fi
    tell "internet gateway" ec2 delete-internet-gateway --internet-gateway-id "$gateway"
  fi
  # Groups name each other: the rules go first.
  for group in nlb intermediate app-connector http-app game-server; do
    id=$(find_group "$group")
    if [[ -z $id ]]; then continue; fi
    rule=$(look ec2 describe-security-group-rules --filters "Name=group-id,Values=$id" \
      --query 'SecurityGroupRules[?!IsEgress].SecurityGroupRuleId')
    if [[ -n $rule ]]; then
      # shellcheck disable=SC2086  # several ids
      tell rules ec2 revoke-security-group-ingress --group-id "$id" --security-group-rule-ids $rule
    fi
  done
  for group in nlb intermediate app-connector http-app game-server; do
    id=$(find_group "$group")
    if [[ -n $id ]]; then tell "group $group" ec2 delete-security-group --group-id "$id"; fi
  done
  for subnet in public private; do
    id=$(find_subnet "$subnet")
    if [[ -n $id ]]; then tell "$subnet subnet" ec2 delete-subnet --subnet-id "$id"; fi
    table=$(find_route_table "$subnet")
    if [[ -z $table ]]; then continue; fi
    associations=$(look ec2 describe-route-tables --route-table-ids "$table" \
      --query 'RouteTables[].Associations[].RouteTableAssociationId')
    for association in $associations; do
      tell association ec2 disassociate-route-table --association-id "$association"
    done
    tell "$subnet routes" ec2 delete-route-table --route-table-id "$table"
  done
  if [[ -n $vpc ]]; then tell VPC ec2 delete-vpc --vpc-id "$vpc"; fi
}

remove_role() {  # NAME
  local found policy policies
  found=$(find_role "$1")
  if [[ -z $found ]]; then return; fi
  policies=$(look iam list-role-policies --role-name "$1" --query 'PolicyNames[]')
  for policy in $policies; do
    tell "policy of $1" iam delete-role-policy --role-name "$1" --policy-name "$policy"
  done
  tell "role $1" iam delete-role --role-name "$1"
}

remove_roles() {
  local profile role service
  profile=$(find_profile "$name-intermediate")
  if [[ -n $profile ]]; then
    role=$(look iam list-instance-profiles --query "InstanceProfiles[?InstanceProfileName=='$profile'].Roles[].RoleName")
    if [[ -n $role ]]; then
      tell "its role" iam remove-role-from-instance-profile --instance-profile-name "$profile" --role-name "$role"
    fi
    tell "instance profile" iam delete-instance-profile --instance-profile-name "$profile"
  fi
  remove_role "$name-intermediate"
  for service in "${services[@]}"; do remove_role "$(execution_role_of "$service")"; done
}

remove_storage() {
  local service found parameter parameters
  for service in "${services[@]}"; do
    found=$(find_log_group "$(log_group_of "$service")")
    if [[ -n $found ]]; then tell "log group" logs delete-log-group --log-group-name "$found"; fi
    found=$(find_repository "$(repository_of "$service")")
    if [[ -n $found ]]; then
      tell "repository" ecr delete-repository --repository-name "$(repository_of "$service")" --force
    fi
  done
  parameters=$(find_parameters)
  for parameter in $parameters; do
    if [[ $parameter != None ]]; then tell "$parameter" ssm delete-parameter --name "$parameter"; fi
  done
}

parse_options "$@"
load_settings
find_account
confirm "Remove the deployment $name in $region, with its images, logs and certificates there?"
remove_services
remove_names
remove_load_balancers
remove_intermediate
remove_nat
remove_addresses
remove_target_groups
remove_network
remove_roles
remove_storage
if [[ $dry_run == yes ]]; then
  say "dry run: nothing was changed"
  exit 0
fi
count=$(changes)
if ((count == 0)); then
  say "there was nothing to remove"
else
  say "removed: $count calls"
fi
