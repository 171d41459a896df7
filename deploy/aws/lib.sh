# shellcheck shell=bash disable=SC2034  # what is set here is used in the three scripts
# What up.sh, down.sh and status.sh share: options, the environment files, how AWS is asked and told,
# and how each thing is found again. Nothing is remembered between runs: whatever exists is found by
# the tag ztna-deployment=NAME and its name.

shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(basename "$0")
dry_run=no assume_yes=no offline=no
env_file=$here/../env/cloud.env
aws_env_file=$here/../env/aws.env
retries=${ZTNA_AWS_RETRIES:-60}          # of what AWS refuses until something else has settled,
retry_delay=${ZTNA_AWS_RETRY_DELAY:-5}   # so many seconds apart

say() { echo "$program: $*" >&2; }

fail() {  # MESSAGE [STATUS]
  say "$1"
  exit "${2:-1}"
}

if ((BASH_VERSINFO[0] < 4 || (BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] < 4))); then
  fail "this is bash $BASH_VERSION; 4.4 or newer is needed (macOS: brew install bash)"
fi

# A folder for what is too long or too secret for a command line.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
exec 3>&1  # where a dry run prints, also from within $(…)

parse_options() {  # ARGUMENT...
  while (($# > 0)); do
    case $1 in
      --env)
        (($# > 1)) || fail "--env wants a file" 2
        env_file=$2
        shift
        ;;
      --env=*) env_file=${1#--env=} ;;
      --dry-run) dry_run=yes ;;
      --yes) assume_yes=yes ;;
      --help) usage && exit 0 ;;
      *) usage >&2 && fail "unknown option \"$1\"" 2 ;;
    esac
    shift
  done
}

# --- Settings: aws.env, and over it --env FILE

# shellcheck source=/dev/null
. "$here/../env/load.sh"

need() {  # NAME...
  local variable
  for variable in "$@"; do
    [[ -n ${!variable-} ]] || fail "$variable is not set; fill it in in $env_file or $aws_env_file" 2
  done
}

load_settings() {
  env_forget
  load_env "$aws_env_file"
  load_env "$env_file"
  need ZTNA_AWS_NAME ZTNA_AWS_REGION
  name=$ZTNA_AWS_NAME region=$ZTNA_AWS_REGION
  [[ $name =~ ^[a-z][a-z0-9-]{0,15}$ ]] ||
    fail "ZTNA_AWS_NAME is \"$name\", expected at most 16 of a-z, 0-9 and -, and a letter first" 2
  layout=${ZTNA_AWS_LAYOUT:-udp}
  [[ $layout == udp || $layout == quic ]] || fail "ZTNA_AWS_LAYOUT is \"$layout\", expected udp or quic" 2
}

# --- Asking and telling AWS

cli() {
  AWS_PAGER='' aws --region "$region" --output text "$@"
}

# Who we are. A dry run without credentials goes on and takes AWS for empty.
find_account() {
  command -v aws >/dev/null ||
    fail "the AWS CLI is missing; see https://docs.aws.amazon.com/cli/latest/userguide/ (Debian: apt-get install awscli)"
  if account=$(cli sts get-caller-identity --query Account 2>"$work/error"); then return; fi
  [[ $dry_run == yes ]] ||
    fail "AWS does not know who you are: $(tail -n 1 "$work/error"). Run \"aws configure\", or set AWS_PROFILE."
  say "no credentials: this dry run takes the account for empty"
  offline=yes account=000000000000
}

# A call that changes nothing. Prints the answer, with nothing for None. What a dry run has not made
# (<vpc> and the like) cannot be asked about.
look() {
  local answer attempt
  if [[ $offline == yes || $* == *'<'*'>'* ]]; then return 0; fi
  for ((attempt = 1; ; attempt++)); do
    if answer=$(cli "$@" 2>"$work/error"); then break; fi
    # We ask about ids that were just given: AWS may not know them everywhere yet.
    if ((attempt >= 5)) || ! grep -q 'ID\.NotFound' "$work/error"; then
      cat "$work/error" >&2
      return 1
    fi
    sleep "$retry_delay"
  done
  if [[ $answer == None ]]; then return 0; fi
  printf %s "$answer"
}

# The same for one thing: two would mean that somebody else uses our tags.
look_one() {
  local answer word
  local -a found=()
  answer=$(look "$@")
  for word in $answer; do  # pages that have nothing say None
    if [[ $word != None ]]; then found+=("$word"); fi
  done
  ((${#found[@]} <= 1)) || fail "there is more than one: ${found[*]} (aws $1 $2); remove what is not ours"
  printf %s "${found[*]}"
}

# What AWS refuses for a while: a role that is not known everywhere yet, a network interface that
# somebody is still removing.
transient='Invalid IAM Instance Profile|[Uu]nable to assume the service linked role|DependencyViolation'
transient+='|InvalidIPAddress.InUse|AuthFailure.*network interface|ResourceInUse|is currently in use|InvalidParameterValue.*iamInstanceProfile'
transient+='|ID\.NotFound|has mapped public address|UpdateInProgress|Rate exceeded|RequestLimitExceeded'

# A call that changes something. Prints the answer; a dry run prints the call instead, and <WHAT> for
# the answer.
change() {  # WHAT CALL...
  local what=$1 answer attempt
  shift
  if [[ $dry_run == yes ]]; then
    (IFS=' ' && printf 'aws --region %s %s\n' "$region" "${*@Q}") >&3
    printf '<%s>' "$what"
    return 0
  fi
  echo "$1 $2" >>"$work/changes"
  for ((attempt = 1; ; attempt++)); do
    if answer=$(cli "$@" 2>"$work/error"); then break; fi
    if ((attempt >= retries)) || ! grep -Eq "$transient" "$work/error"; then
      cat "$work/error" >&2
      say "aws $1 $2 failed ($what). Run $program again when that is settled: it goes on from here. deploy/aws/down.sh removes everything."
      return 1
    fi
    sleep "$retry_delay"
  done
  if [[ $answer == None ]]; then return 0; fi
  printf %s "$answer"
}

tell() { change "$@" >/dev/null; }

# Until a thing is there or gone. A dry run has nothing to wait for.
await() {  # WHAT WAITER...
  local what=$1
  shift
  if [[ $dry_run == yes ]]; then return 0; fi
  say "waiting: $what"
  if ! cli "$@" 2>"$work/error"; then
    cat "$work/error" >&2
    fail "$what: not reached. Run $program again: it goes on waiting."
  fi
}

changes() {
  if [[ -e $work/changes ]]; then wc -l <"$work/changes" | tr -d ' '; else echo 0; fi
}

confirm() {  # QUESTION
  local answer
  if [[ $assume_yes == yes || $dry_run == yes ]]; then return; fi
  [[ -t 0 ]] || fail "nobody is there to ask; give --yes" 2
  read -r -p "$1 [y/N] " answer
  [[ $answer =~ ^[Yy] ]] || fail "nothing was changed"
}

# --- Tags, in the three ways in which AWS wants them written

ec2_tags() {  # RESOURCE-TYPE NAME [KEY=VALUE]
  local extra=
  if (($# > 2)); then extra=",{Key=${3%%=*},Value=${3#*=}}"; fi
  echo "ResourceType=$1,Tags=[{Key=Name,Value=$2},{Key=ztna-deployment,Value=$name}$extra]"
}
upper_tags="Key=ztna-deployment,Value="
lower_tags="key=ztna-deployment,value="

# --- How everything is found

ec2_find() {  # COMMAND QUERY NAME [FILTER...]
  look_one ec2 "$1" --query "$2" \
    --filters "Name=tag:ztna-deployment,Values=$name" "Name=tag:Name,Values=$3" "${@:4}"
}

find_vpc() { ec2_find describe-vpcs 'Vpcs[].VpcId' "$name-vpc"; }
find_subnet() { ec2_find describe-subnets 'Subnets[].SubnetId' "$name-$1"; }
find_gateway() { ec2_find describe-internet-gateways 'InternetGateways[].InternetGatewayId' "$name-igw"; }
find_route_table() { ec2_find describe-route-tables 'RouteTables[].RouteTableId' "$name-$1"; }
find_group() { ec2_find describe-security-groups 'SecurityGroups[].GroupId' "$name-$1-sg"; }
find_address() { ec2_find describe-addresses 'Addresses[].AllocationId' "$name-$1"; }
find_nat() { look_nats look_one pending,available; }
find_nats() { look_nats look "$1"; }  # STATES
look_nats() {  # look|look_one STATES
  "$1" ec2 describe-nat-gateways --query 'NatGateways[].NatGatewayId' \
    --filter "Name=tag:ztna-deployment,Values=$name" "Name=tag:Name,Values=$name-nat" \
    "Name=state,Values=$2"
}
find_instance() {
  ec2_find describe-instances 'Reservations[].Instances[].InstanceId' "$name-intermediate" \
    "Name=instance-state-name,Values=pending,running,stopping,stopped"
}

# Names are unique in these services, and somebody else may have taken ours: without our tag a thing is
# not ours, and nothing is done to it.
not_ours() {  # KIND NAME
  fail "$1 $2 exists without the tag ztna-deployment=$name: it is not ours. Choose another ZTNA_AWS_NAME."
}

# A list, not a name: asking for one that is not there is an error.
find_load_balancer() { find_balancing load-balancer LoadBalancers LoadBalancer "$1"; }
find_target_group() { find_balancing target-group TargetGroups TargetGroup "$1"; }
find_balancing() {  # COMMAND LIST KIND NAME
  local arn tag
  arn=$(look_one elbv2 "describe-$1s" --query "$2[?$3Name=='$4'].$3Arn")
  if [[ -z $arn ]]; then return 0; fi
  tag=$(look elbv2 describe-tags --resource-arns "$arn" \
    --query "TagDescriptions[].Tags[?Key=='ztna-deployment'].Value[]")
  [[ $tag == "$name" ]] || not_ours "$1" "$4"
  printf %s "$arn"
}

# What a target group was made for is not changed under it: its listener and the daemons' options have the
# same ports.
refuse_other_ports() {  # GROUP PORT HEALTH-PORT
  local arn stands
  arn=$(find_target_group "$name-$1")
  if [[ -z $arn ]]; then return 0; fi
  stands=$(look elbv2 describe-target-groups --target-group-arns "$arn" \
    --query 'TargetGroups[].[to_string(Port), HealthCheckPort][]')
  [[ $stands == "$2"$'\t'"$3" ]] ||
    fail "$name stands with the ports ${stands/$'\t'/ and } of $1, and the settings say $2 and $3. Run deploy/aws/down.sh first, or set them back."
}

# The Intermediate's target group by layout. It is made before everything else that differs between the two
# and removed after it, so it tells what stands.
declare -A intermediate_group=([udp]=intermediate [quic]=quic)

refuse_another_layout() {
  local other=udp found
  if [[ $layout == udp ]]; then other=quic; fi
  found=$(find_target_group "$name-${intermediate_group[$other]}")
  [[ -z $found ]] ||
    fail "$name stands in the layout $other, and ZTNA_AWS_LAYOUT is $layout. Run deploy/aws/down.sh first, or set ZTNA_AWS_LAYOUT=$other."
}

find_listener() {  # LOAD-BALANCER PORT
  look_one elbv2 describe-listeners --load-balancer-arn "$1" --query "Listeners[?Port==\`$2\`].ListenerArn"
}

find_role() {  # NAME
  local tag found
  found=$(look_one iam list-roles --query "Roles[?RoleName=='$1'].RoleName")
  if [[ -z $found ]]; then return 0; fi
  tag=$(look iam list-role-tags --role-name "$1" --query "Tags[?Key=='ztna-deployment'].Value")
  [[ $tag == "$name" ]] || not_ours role "$1"
  printf %s "$found"
}

find_profile() {  # NAME
  local tag found
  found=$(look_one iam list-instance-profiles \
    --query "InstanceProfiles[?InstanceProfileName=='$1'].InstanceProfileName")
  if [[ -z $found ]]; then return 0; fi
  tag=$(look iam list-instance-profile-tags --instance-profile-name "$1" \
    --query "Tags[?Key=='ztna-deployment'].Value")
  [[ $tag == "$name" ]] || not_ours "instance profile" "$1"
  printf %s "$found"
}

find_repository() {  # NAME
  local arn tag
  arn=$(look_one ecr describe-repositories --query "repositories[?repositoryName=='$1'].repositoryArn")
  if [[ -z $arn ]]; then return 0; fi
  tag=$(look ecr list-tags-for-resource --resource-arn "$arn" \
    --query "tags[?Key=='ztna-deployment'].Value")
  [[ $tag == "$name" ]] || not_ours repository "$1"
  printf %s "$arn"
}

find_log_group() {  # NAME
  local found tag
  found=$(look_one logs describe-log-groups --log-group-name-prefix "$1" \
    --query "logGroups[?logGroupName=='$1'].logGroupName")
  if [[ -z $found ]]; then return 0; fi
  tag=$(look logs list-tags-log-group --log-group-name "$1" --query 'tags."ztna-deployment"')
  [[ $tag == "$name" ]] || not_ours "log group" "$1"
  printf %s "$found"
}

find_parameters() {  # the names of all that is kept in the Parameter Store
  look ssm describe-parameters --parameter-filters "Key=tag:ztna-deployment,Values=$name" \
    --query 'Parameters[].Name'
}

find_cluster() {
  local tag
  tag=$(look ecs describe-clusters --clusters "$name-cluster" --include TAGS \
    --query "clusters[?status=='ACTIVE'].[clusterName, tags[?key=='ztna-deployment'].value|[0]][]")
  if [[ -z $tag ]]; then return 0; fi
  [[ $tag == "$name-cluster"$'\t'"$name" ]] || not_ours cluster "$name-cluster"
  printf %s "$name-cluster"
}

find_service() {  # SERVICE [STATUS]
  look_one ecs describe-services --cluster "$name-cluster" --services "$1" \
    --query "services[?status=='${2:-ACTIVE}'].serviceName"
}

find_task_definitions() {  # FAMILY STATUS
  look ecs list-task-definitions --family-prefix "$1" --status "$2" --sort DESC --query 'taskDefinitionArns[]'
}

find_namespace() {
  local answer id arn tag
  answer=$(look servicediscovery list-namespaces --filters Name=TYPE,Values=DNS_PRIVATE \
    --query "Namespaces[?Name=='$name.internal'].[Id, Arn][]")
  read -r id arn <<<"$answer"
  if [[ -z $id ]]; then return 0; fi
  tag=$(look servicediscovery list-tags-for-resource --resource-arn "$arn" \
    --query "Tags[?Key=='ztna-deployment'].Value")
  [[ $tag == "$name" ]] || not_ours namespace "$name.internal"
  printf %s "$id"
}

find_registry() {  # NAMESPACE SERVICE [FIELD]
  look_one servicediscovery list-services --filters "Name=NAMESPACE_ID,Values=$1" \
    --query "Services[?Name=='$2'].${3:-Id}"
}

# Cloud Map works in the background.
await_operation() {  # WHAT OPERATION
  local status attempt
  if [[ $dry_run == yes || -z $2 ]]; then return 0; fi
  for ((attempt = 1; attempt <= retries; attempt++)); do
    status=$(look servicediscovery get-operation --operation-id "$2" --query Operation.Status)
    case $status in
      SUCCESS) return 0 ;;
      FAIL) fail "$1: $(look servicediscovery get-operation --operation-id "$2" --query Operation.ErrorMessage)" ;;
    esac
    sleep "$retry_delay"
  done
  fail "$1: not done after $attempt questions. Run $program again."
}

# The three services: their name, in ECS, in ECR (the plan's names), in the logs and in DNS.
services=(app-connector http-app game-server)
repository_of() {  # SERVICE
  case $1 in
    game-server) echo "$name/quakekube" ;;
    *) echo "$name/$1" ;;
  esac
}
execution_role_of() { echo "$name-$1-execution"; }
log_group_of() { echo "/$name/$1"; }
