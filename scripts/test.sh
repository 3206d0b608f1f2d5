#!/usr/bin/env bash
# Checks everything: formatting, lints, tests, every feature alone, documentation, the program, the benches.
#
#   ./scripts/test.sh                    everything; installs what the `highs` feature needs if it is missing
#   ./scripts/test.sh --without-highs    everything but the `highs` feature, and says so in the summary
#   ./scripts/test.sh --quick            formatting, lints and tests with default features only
#
# Needs a Rust toolchain. The `highs` feature compiles HiGHS from source (about four minutes on two cores) and needs
# cmake, make, a C++ compiler and libclang; on Debian-like systems they are installed through apt-get when this runs
# as root or sudo asks for no password. Otherwise the script says what is missing and stops.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

with_highs=yes
quick=no
for argument in "$@"; do
  case "$argument" in
    --without-highs) with_highs=no ;;
    --quick) quick=yes with_highs=no ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "unknown argument: $argument (see $0 --help)" >&2; exit 2 ;;
  esac
done

# Nothing is compiled twice in an automatic run, so incremental data would only cost time and disk.
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
# Property tests draw the same inputs in every run of this script, so that it fails because of a change and not by chance.
# `cargo test` by itself draws new ones every time.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-20250329}"

logs="${CARGO_TARGET_DIR:-target}/test-logs"
rm -rf "$logs"
mkdir -p "$logs"
summary=()
current=
started=$SECONDS

# stage NAME COMMAND...: runs the command, keeps its output in a log, remembers its seconds.
stage() {
  current=$1
  shift
  local begin=$SECONDS
  printf '\n==> %s\n' "$current"
  "$@" 2>&1 | tee "$logs/${current//[^A-Za-z0-9]/-}.log"
  local seconds=$((SECONDS - begin))
  printf '<== %s: %d s\n' "$current" "$seconds"
  summary+=("$(printf '%6d s  %s' "$seconds" "$current")")
  current=
}

finish() {
  local status=$?
  printf '\n==> test results\n'
  for log in "$logs"/tests*.log; do
    if [ -f "$log" ]; then
      echo "-- $(basename "$log" .log)"
      grep -E '^ *(Running|Doc-tests) |^test result:' "$log" || true
      awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
        END { printf "-- %d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$log"
    fi
  done
  printf '\n==> summary\n'
  if [ ${#summary[@]} -gt 0 ]; then printf '%s\n' "${summary[@]}"; fi
  printf '%6d s  in all\n' $((SECONDS - started))
  if [ "$with_highs" = no ]; then echo "NOT CHECKED: the highs feature"; fi
  if ! command -v cargo-deny >/dev/null; then echo "NOT CHECKED: deny.toml (cargo-deny is not installed)"; fi
  if [ "$quick" = yes ]; then echo "NOT CHECKED: single features, documentation, program, benches"; fi
  # A signal can end the script in the middle of a stage with the status of the command before.
  if [ "$status" -eq 0 ] && [ -n "$current" ]; then status=1; fi
  if [ "$status" -eq 0 ]; then echo "all stages passed"; else echo "FAILED in stage: ${current:-set-up}"; fi
  exit "$status"
}
trap finish EXIT

# ---- set-up ---------------------------------------------------------------------------------------------------------

setup_rust() {
  if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install a Rust toolchain (https://rustup.rs) and run this again" >&2
    return 1
  fi
  rustc --version
  local missing=()
  cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
  cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)
  if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v rustup >/dev/null; then
      echo "missing: ${missing[*]}; install these components of your Rust toolchain" >&2
      return 1
    fi
    echo "installing through rustup: ${missing[*]}"
    rustup component add "${missing[@]}"
  fi
}

# libclang alone is not enough: bindgen also needs the headers that come with it.
has_libclang() {
  if [ -n "${LIBCLANG_PATH:-}" ] || command -v llvm-config >/dev/null; then return 0; fi
  if [ "$(uname -s)" = Darwin ]; then command -v clang >/dev/null; return; fi
  local found
  found=$(find /usr/lib /usr/lib64 /usr/local/lib /opt -name 'libclang*.so*' -print -quit 2>/dev/null || true)
  [ -n "$found" ] || return 1
  found=$(find /usr/lib /usr/lib64 /usr/local/lib /opt -path '*/clang/*/include/stddef.h' -print -quit 2>/dev/null || true)
  [ -n "$found" ]
}

# Sets `packages` to the Debian packages that HiGHS still needs.
missing_packages() {
  packages=()
  command -v cmake >/dev/null || packages+=(cmake)
  command -v make >/dev/null || packages+=(make)
  if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null; then packages+=(g++); fi
  has_libclang || packages+=(libclang-dev)
}

setup_highs() {
  missing_packages
  if [ ${#packages[@]} -eq 0 ]; then
    echo "cmake, make, a C++ compiler and libclang are here: nothing to install"
    return 0
  fi
  echo "the highs feature needs, and this machine lacks: ${packages[*]}"
  local root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "they cannot be installed from here (no apt-get, or neither root nor sudo without password)." >&2
    echo "install them yourself, on Debian with: apt-get install ${packages[*]}" >&2
    echo "or leave HiGHS out of the check with: $0 --without-highs" >&2
    return 1
  fi
  echo "installing them through apt-get, with what they depend on (libclang is some hundred megabytes)"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
  missing_packages
  if [ ${#packages[@]} -gt 0 ]; then
    echo "still missing after the installation: ${packages[*]}" >&2
    return 1
  fi
}

# ---- stages ---------------------------------------------------------------------------------------------------------

# Prints "package feature" for every feature of every published crate, and "package -" for none of them.
features() {
  awk '
    FNR == 1 { section = ""; package = "" }
    /^\[/ { section = $0 }
    section == "[package]" && $1 == "name" { package = $3; gsub(/"/, "", package); print package, "-" }
    section == "[features]" && /^[a-z]/ && $1 != "default" { print package, $1 }
  ' crates/*/Cargo.toml
}

# Features only add: each alone, and none, must compile. Libraries only, so that what tests ask for hides nothing.
each_feature() {
  local package feature count=0
  while read -r package feature; do
    if [ "$feature" = highs ] && [ "$with_highs" = no ]; then continue; fi
    if [ "$feature" = - ]; then
      echo "-- $package without features"
      cargo clippy -q -p "$package" --lib --no-default-features -- -D warnings
    else
      echo "-- $package with $feature"
      cargo clippy -q -p "$package" --lib --no-default-features --features "$feature" -- -D warnings
    fi
    count=$((count + 1))
  done < <(features)
  echo "$count combinations"
  [ "$count" -gt 0 ]
}

documentation() {
  export RUSTDOCFLAGS="-D warnings"
  cargo doc --workspace --no-deps
  if [ "$with_highs" = yes ]; then cargo doc --workspace --no-deps --all-features; fi
}

# The command of the README on few populations and days, and one schedule; every file that it names must be there.
program() {
  local run=(cargo run --release -p end-to-end-flexibility --) file
  rm -rf "$logs/program"
  "${run[@]}" --populations 1 --days 2 --vehicles 8 --out-dir "$logs/program/compare"
  for file in gaps.csv costs.csv projections.csv summary.json gaps.svg projections.svg; do
    test -s "$logs/program/compare/$file" || { echo "the program did not write $file"; return 1; }
  done
  "${run[@]}" populations --populations 2 --days 2 --out-dir "$logs/program/populations"
  "${run[@]}" schedule --objective demand-charge --vehicles 5 --out-dir "$logs/program/schedule"
  for file in schedule.csv aggregate.csv summary.json day.svg vehicles.svg; do
    test -s "$logs/program/schedule/$file" || { echo "the program did not write $file"; return 1; }
  done
}

stage "set-up of Rust" setup_rust
if [ "$with_highs" = yes ]; then stage "set-up of HiGHS" setup_highs; fi
stage "formatting" cargo fmt --all --check
if command -v cargo-deny >/dev/null; then
  stage "licences and sources of dependencies" cargo deny --log-level error check licenses bans sources
fi
stage "lints, default features" cargo clippy --workspace --all-targets -- -D warnings
stage "tests, default features" cargo test --workspace
if [ "$with_highs" = yes ]; then
  # HiGHS, minilp and the default features together.
  stage "lints, all features" cargo clippy --workspace --all-targets --all-features -- -D warnings
  stage "tests, all features" cargo test --workspace --all-features
fi
if [ "$quick" = no ]; then
  stage "every feature alone" each_feature
  stage "documentation" documentation
  stage "program" program
  stage "benches" cargo bench --workspace --no-run
fi
