# Sourced by the scripts that build: progress counts the package paths that
# `go build -v` prints and passes on everything else: downloads and errors.
progress() {
  local line count=0 began=$SECONDS
  while IFS= read -r line; do
    if [[ $line == *" "* ]]; then
      echo "$line"
    elif (( ++count % 100 == 0 )); then
      echo "  $count packages compiled in $((SECONDS - began))s"
    fi
  done
}
