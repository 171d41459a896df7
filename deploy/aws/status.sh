#!/usr/bin/env bash
# Shows what there is of the AWS deployment, and whether it is well. Changes nothing.
# Exit status: 0 all of it is there and well; 1 something is missing or ill; 2 usage.
set -euo pipefail
# shellcheck source=deploy/aws/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
usage: deploy/aws/status.sh [--env FILE]
Shows what there is of the AWS deployment, and whether it is well. Exit status 1: something is missing or ill.
TEXT
}

well=yes

show() {  # WHAT ID [STATE [WANTED]]
  local state=${3-}
  if [[ -z $2 ]]; then
    state=missing
  elif (($# > 3)) && [[ $state != "$4" ]]; then
    state="${state:-nothing} (wanted: $4)"
  elif [[ -z $state ]]; then
    state=there
  else
    printf '%-28s %-26s %s\n' "$1" "$2" "$state"
    return
  fi
  if [[ $state != there ]]; then well=no; fi
  printf '%-28s %-26s %s\n' "$1" "${2:--}" "$state"
}

show_network() {
  local id state subnet
  id=$(find_vpc)
  show VPC "$id"
  for subnet in public private; do
    id=$(find_subnet "$subnet")
    show "$subnet subnet" "$id"
    id=$(find_route_table "$subnet")
    show "$subnet routes" "$id"
  done
  id=$(find_gateway)
  show "internet gateway" "$id"
  id=$(find_nat)
  state=
  if [[ -n $id ]]; then state=$(look ec2 describe-nat-gateways --nat-gateway-ids "$id" --query 'NatGateways[].State'); fi
  show "NAT gateway" "$id" "$state" available
}

show_intermediate() {
  local id answer='' state='' address=''
  id=$(find_instance)
  if [[ -n $id ]]; then
    answer=$(look ec2 describe-instances --instance-ids "$id" \
      --query 'Reservations[].Instances[].[State.Name, PublicIpAddress][]')
    read -r state address <<<"$answer"
  fi
  show "Intermediate's machine" "$id" "$state" running
  if [[ -n $address && $address != None ]]; then echo "    its own address: $address (ztna netcheck --intermediate $address)"; fi
}

show_targets() {  # TARGET-GROUP
  local arn answer id state
  arn=$(find_target_group "$name-$1")
  if [[ -z $arn ]]; then
    show "targets $1" ""
    return
  fi
  answer=$(look elbv2 describe-target-health --target-group-arn "$arn" \
    --query 'TargetHealthDescriptions[].[Target.Id, TargetHealth.State]')
  if [[ -z $answer ]]; then show "targets $1" ""; fi
  while read -r id state; do
    if [[ -n $id ]]; then show "target $1" "$id" "$state" healthy; fi
  done <<<"$answer"
}

show_load_balancer() {  # NAME
  local arn state='' address
  arn=$(find_load_balancer "$name-$1")
  if [[ -n $arn ]]; then
    state=$(look elbv2 describe-load-balancers --load-balancer-arns "$arn" --query 'LoadBalancers[0].State.Code')
  fi
  show "load balancer" "${arn:+$name-$1}" "$state" active
  if [[ -n $arn ]]; then
    address=$(look ec2 describe-addresses --query 'Addresses[].PublicIp' \
      --filters "Name=tag:ztna-deployment,Values=$name" "Name=tag:Name,Values=$name-$1-ip")
    look elbv2 describe-listeners --load-balancer-arn "$arn" --query 'Listeners[].[Protocol, Port]' |
      awk -v address="$address" '{ print "    " address "  " $1 " " $2 }'
  fi
}

show_load_balancers() {
  show_load_balancer nlb
  if [[ $layout == quic ]]; then show_load_balancer quic; fi
  show_targets "${intermediate_group[$layout]}"
  show_targets app-connector
}

show_services() {
  local service cluster answer state
  cluster=$(find_cluster)
  show cluster "$cluster"
  for service in "${services[@]}"; do
    answer=
    if [[ -n $cluster ]]; then
      answer=$(look ecs describe-services --cluster "$cluster" --services "$service" \
        --query "services[?status=='ACTIVE'].join('/', [to_string(runningCount), to_string(desiredCount)]) | [0]")
    fi
    state="$answer running"
    show service "${answer:+$service}" "$state" "1/1 running"
  done
}

parse_options "$@"
load_settings
find_account
refuse_another_layout
show_network
show_intermediate
show_load_balancers
show_services
if [[ $well == no ]]; then
  say "not all is there and well; deploy/aws/up.sh completes it"
  exit 1
fi
