# Installs what is missing: Debian packages, npm packages, the executable. Does nothing for what is there.
# shellcheck shell=bash

as_root() { [ "$(id -u)" -eq 0 ]; }

# Prints the arguments that name packages which are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
      'install ok installed') ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

# need_packages "what they are for" package...
need_packages() {
  local why=$1 missing
  shift
  { command -v dpkg-query && command -v apt-get; } >/dev/null ||
    die 'apt-get is missing: this is not a Debian system.' "Install the counterparts of: $*"
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  as_root ||
    die "these Debian packages are missing: $missing" "They are for $why. Run as root: apt-get install $missing"
  say "Debian packages to install, for $why: $missing"
  export DEBIAN_FRONTEND=noninteractive
  step 'Reading the lists of Debian packages' apt-get update || note 'going on with the present lists'
  # shellcheck disable=SC2086 # a list of names
  step "Installing $missing" apt-get install -y --no-install-recommends $missing ||
    die 'the Debian packages could not be installed.' "Try by hand: apt-get install $missing"
}

# Whether Podman runs plugins of netavark, as 4.5 and later do; those before know CNI alone.
takes_netavark_plugins() {
  local major minor
  IFS=. read -r major minor _ <<<"$(podman --version | sed -n 's/^podman version //p')"
  [ "${major:-0}" -ge 5 ] || { [ "${major:-0}" -eq 4 ] && [ "${minor:-0}" -ge 5 ]; }
}

need_node() {
  { command -v npm && command -v node; } >/dev/null ||
    die 'Node and npm are missing.' 'Install Node 20 or newer with npm, then run this again.'
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "Node $major is too old." 'Install Node 20 or newer, then run this again.'
}

# The Node 26 that runs everything comes as an npm package; it needs libatomic1, which need_packages brings.
need_npm_packages() {
  local lock=node_modules/.package-lock.json
  if [ ! -x node_modules/.bin/node ] || [ ! -e "$lock" ] || [ package-lock.json -nt "$lock" ]; then
    need_node
    step 'Installing the npm packages of package-lock.json' npm ci --loglevel=http ||
      die 'the npm packages could not be installed.' "Its log: $LOGS"
    touch "$lock"
  fi
  PATH="$ROOT/node_modules/.bin:$PATH"
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 26 ? 0 : 1)' ||
    die "this machine's processor has no Node 26 among the npm packages ($(uname -m))." 'Known: x86_64 and aarch64.'
}

# The sources of the executable, without tests.
SOURCES='bin build cli plugin ipam registrar gateway netlink-ts kernel core conf package.json package-lock.json'

# FLATNET_KEEP_BUILD=1 uses dist/ as it is.
need_executable() {
  [ "${FLATNET_KEEP_BUILD:-}" = 1 ] && [ -x dist/flatnet ] && return 0
  local newer=''
  # shellcheck disable=SC2086 # a list of folders
  [ ! -x dist/flatnet ] || newer=$(
    find $SOURCES -newer dist/flatnet -type f ! -path 'bin/lib/*' ! -name test ! -name up -print -quit
  )
  if [ -x dist/flatnet ] && [ -z "$newer" ]; then
    note 'dist/flatnet is up to date'
    return 0
  fi
  step 'Building dist/flatnet (npm run build)' npm run build || die 'the build failed.' "Its log: $LOGS"
}
