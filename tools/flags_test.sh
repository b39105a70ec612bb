#!/bin/bash
# Flags that profile and allocate_bits cannot take: one line that names the flag, before anything is loaded.
source tools/shell_test.sh
profile=$1
allocate_bits=$2

refuses() {
  local expected=$1
  shift
  "$@" >"$work/stdout" 2>"$work/stderr"
  was_refused 1 "$expected" $? "$@"
}

for program in "$profile" "$allocate_bits"; do
  refuses "${program##*/}: unknown flag --confg" "$program" --confg=x
done
help=$("$profile" --help) || fail "profile --help: exit code $?"
[[ $help == *"--warmup"*"(default: 3)"* && $help != *"--flagfile"* ]] || fail "profile --help: $help"
refuses "--steps is 0" "$profile" --steps=0
refuses "--warmup is 0" "$profile" --warmup=0
refuses "--rows is -1" "$profile" --rows=-1
refuses "--limit is -1" "$allocate_bits" --budget_bits=3.5 --out="$work/mixed.textproto" --limit=-1 "$work"
refuses "no/such/folder" "$profile" --trace="$work/no/such/folder/trace.json"
finish
