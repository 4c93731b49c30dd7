#!/bin/sh
# A store for `store = "command"` in gantry.toml, to be adapted to the tool that uploads to your hosting:
#
#   [command]
#   program = ["./hosting/store-command.sh", "/srv/updates"]
#
# gantry calls it with a verb and a path; docs/hosting.md has the contract. This one keeps the objects in a folder. What has to
# stay when cp and mv become another tool: an object appears complete and at once, what is expected ($GANTRY_EXPECT) is compared
# and replaced in one step, and "missing" (exit code 10) is never said of what could not be looked at.
set -eu
folder=$1 verb=$2 path=$3
file=$folder/$path

# A version may be anything that changes whenever the object is written.
version() { stat -c '%i-%s-%.9Y' "$1"; }

describe() { # path, file
  printf '{"path": "%s", "version": "%s", "length": %s}\n' "$1" "$(version "$2")" "$(stat -c %s "$2")"
}

case $verb in
  head)
    [ -f "$file" ] || exit 10
    describe "$path" "$file"
    ;;
  read)
    [ -f "$file" ] || exit 10
    cat "$file"
    ;;
  write)
    mkdir -p "$(dirname "$file")"
    upload=$(mktemp "$folder/.upload-XXXXXX")
    trap 'rm -f "$upload"' EXIT
    cat >"$upload"
    # Whoever runs this was cut off before the end.
    [ "$(sha256sum "$upload" | cut -d ' ' -f 1)" = "$GANTRY_SHA256" ] || exit 1
    chmod 644 "$upload"
    exec 9>"$folder/.lock"
    flock 9
    found=absent
    [ ! -f "$file" ] || found=$(version "$file")
    [ "$found" = "$GANTRY_EXPECT" ] || exit 11
    mv "$upload" "$file"
    ;;
  list)
    cd "$folder"
    find . -type f ! -path './.*' | sed 's|^\./||' | while read -r name; do
      case $name in "$path"*) describe "$name" "$name" ;; esac
    done
    ;;
  remove)
    rm -f "$file"
    ;;
  *)
    exit 1
    ;;
esac
