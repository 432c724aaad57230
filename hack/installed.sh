# Sourced by build-host.sh, at the top of the repository: programs that are
# installed and need not be built.

# installed NAME VERSION FITS ARGS...: takes NAME from PATH if what it prints with
# ARGS is a version that FITS accepts, and VERSION was not built already.
installed() {
  local name=$1 version=$2 fits=$3 path found
  shift 3
  [[ ! -x _output/host/$version/$name ]] || return 1
  path=$(PATH=${PATH//"$PWD/_output/bin:"/} command -v "$name") || return 1 # README has it in PATH
  found=$("$path" "$@" 2>/dev/null) && found=$(grep -oEm1 'v[0-9]+\.[0-9]+\.[0-9]+' <<<"$found") || return 1
  "$fits" "$found" || { echo "not taking $name $found of $path: its version does not fit"; return 1; }
  echo "taking $name $found of $path"
  ln -sfn "$path" "_output/bin/$name"
}

# fits_host VERSION: within one minor version of the host, which is $kubernetes.
fits_host() {
  local minor=${1#v1.} of=${kubernetes#v1.}
  [[ $1 == v1.* ]] || return 1
  local distance=$(( ${minor%%.*} - ${of%%.*} ))
  (( distance >= -1 && distance <= 1 ))
}

fits_helm() { [[ $1 == v3.* || $1 == v4.* ]]; }
