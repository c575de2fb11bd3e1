# What the scripts share. To be sourced.

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

# fail WHAT HOW-TO-FIX
fail() {
  printf '\033[31merror:\033[0m %s\n  to fix it: %s\n' "$1" "$2" >&2
  exit 1
}

# Print the comment at the head of the script when its first argument is -h.
help_if_asked() {
  case "${1:-}" in
    -h | --help)
      sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
  esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
