#!/bin/sh
# usage: mk-docker-opts.sh [-f SUBNET-FILE] [-d OPTIONS-FILE] [-i] [-c] [-k KEY] [-m]
#
# Makes dockerd's options of the subnet file, for an EnvironmentFile of docker's unit; flannel's script of this name,
# and IPv6. Without -i and -c both forms are written.
#
#   -f FILE   the subnet file (/run/flannel/subnet.env)
#   -d FILE   what to write (/run/docker_opts.env)
#   -i        each option as a variable of its own: DOCKER_OPT_BIP, DOCKER_OPT_IPMASQ, DOCKER_OPT_MTU, and with IPv6
#             DOCKER_OPT_FIXED_CIDR_V6 and DOCKER_OPT_IPV6; and every other DOCKER_OPT_* that the environment has
#   -c        all options in one variable, after what that has in the environment
#   -k KEY    the name of that variable (DOCKER_OPTS)
#   -m        without --ip-masq, which old versions of docker do not know
#   -h        this text
#
# heddled writes /run/flannel/docker by itself, see docs/host.md: this is for other names and places.
set -eu
subnet_file=/run/flannel/subnet.env options_file=/run/docker_opts.env
one_by_one='' combined='' key=DOCKER_OPTS masquerading=yes
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; }
fail() { echo "mk-docker-opts.sh: $*" >&2; exit 1; }

while getopts f:d:ick:mh option; do
  case $option in
  f) subnet_file=$OPTARG ;;
  d) options_file=$OPTARG ;;
  i) one_by_one=yes ;;
  c) combined=yes ;;
  k) key=$OPTARG ;;
  m) masquerading='' ;;
  h) usage; exit ;;
  *) usage >&2; exit 1 ;;
  esac
done
case $key in '' | [0-9]* | *[!A-Za-z0-9_]*) fail "-k $key: the name of a variable is letters, digits and _" ;; esac
[ "$one_by_one$combined" ] || one_by_one=yes combined=yes

[ -f "$subnet_file" ] || fail "$subnet_file is missing: heddled writes it once it has a subnet"
case $subnet_file in */*) ;; *) subnet_file=./$subnet_file ;; esac # "." looks for a bare name on the PATH
FLANNEL_SUBNET='' FLANNEL_IPV6_SUBNET='' FLANNEL_MTU='' FLANNEL_IPMASQ=''
# shellcheck disable=SC1090 # it is an argument
. "$subnet_file"

# 10.1.74.1/24 -> 10.1.74.0/24
ipv4_network() {
  (
    IFS=./
    # shellcheck disable=SC2086 # five words
    set -- $1
    number=$((($1 << 24 | $2 << 16 | $3 << 8 | $4) >> (32 - $5) << (32 - $5)))
    echo "$((number >> 24 & 255)).$((number >> 16 & 255)).$((number >> 8 & 255)).$((number & 255))/$5"
  )
}

# fd00::1/64 -> fd00::/64: of an interface's address in the subnet file the network is the one before.
ipv6_network() {
  address=${1%/*}
  start=${address%:*}: last=$((0x${address##*:} - 1))
  case $last$start in
  0*::) last='' ;;
  *) last=$(printf %x "$last") ;;
  esac
  echo "$start$last/${1##*/}"
}

if [ "$FLANNEL_SUBNET" ]; then
  network=$(ipv4_network "$FLANNEL_SUBNET")
  if command -v ip >/dev/null; then
    other=$(ip -4 route show to exact "$network" | grep ' via ' || true)
    [ -z "$other" ] || fail "Your routing table already contains the subnet: $other"
  fi
  DOCKER_OPT_BIP=--bip=$FLANNEL_SUBNET
fi
if [ "$FLANNEL_IPV6_SUBNET" ]; then
  DOCKER_OPT_FIXED_CIDR_V6=--fixed-cidr-v6=$(ipv6_network "$FLANNEL_IPV6_SUBNET")
  DOCKER_OPT_IPV6=--ipv6=true
fi
if [ "$FLANNEL_MTU" ]; then DOCKER_OPT_MTU=--mtu=$FLANNEL_MTU; fi
if [ "$FLANNEL_IPMASQ" ] && [ "$masquerading" ]; then
  case $FLANNEL_IPMASQ in # one of the two masquerades
  true) DOCKER_OPT_IPMASQ=--ip-masq=false ;;
  false) DOCKER_OPT_IPMASQ=--ip-masq=true ;;
  *) fail "Invalid value of FLANNEL_IPMASQ: $FLANNEL_IPMASQ" ;;
  esac
fi

names=$(set | sed -n 's/^\(DOCKER_OPT_[A-Za-z0-9_]*\)=.*/\1/p' | LC_ALL=C sort -u)

# Whoever sources what is written here runs it: no value may end its quotes or have a shell look into it.
line_end='
'
for name in $names "$key"; do
  eval "value=\${$name-}"
  case $value in *[\"\$\`\\]* | *"$line_end"*)
    fail "$name: a value with \", \$, \`, \\ or a line end is not written, whoever sources it would run it" ;;
  esac
done

print() {
  eval "all=\${$key-}"
  for name in $names; do
    eval "value=\${$name-}"
    [ -z "$one_by_one" ] || printf '%s="%s"\n' "$name" "$value"
    all="$all $value"
  done
  [ -z "$combined" ] || printf '%s="%s"\n' "$key" "$all"
}

# A reader sees the old text or the new one; what is no file, such as /dev/stdout, is written to.
if [ -e "$options_file" ] && [ ! -f "$options_file" ]; then
  print >"$options_file"
else
  trap 'rm -f "$options_file.new"' EXIT
  print >"$options_file.new"
  mv -f "$options_file.new" "$options_file"
fi
