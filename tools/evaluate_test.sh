#!/bin/bash
# The binary as a user meets it: after a short training run, in any recipe; exit codes, one line for each mistake.
source tools/shell_test.sh
train=$1
evaluate=$2

# refuses EXPECTED ARGUMENTS...: exits with 1, nothing on stdout and exactly one line on stderr, which holds EXPECTED.
refuses() {
  local expected=$1
  shift
  "$evaluate" "$@" >"$work/stdout" 2>"$work/stderr"
  was_refused 1 "$expected" $? "$@"
  [[ ! -s $work/stdout ]] || fail "something on stdout for: $*"
}

# cells ROW: what the last table says of it, by column.
cells() {
  sed -n "s/^$1  *//p" "$work/table"
}

small='model { width: 4 } data { limit: 100 } run { epochs: 1 threads: 1 }'
for recipe in fp32 pure_bf16; do
  "$train" --set="$small precision { recipe: \"$recipe\" } run { out: \"$work/$recipe\" }" 2>"$work/log" ||
    fail "training in $recipe: $(cat "$work/log")"
done

# The accuracy of training's own evaluation, whichever folder is named.
trained=$(tail -1 "$work/fp32/metrics.csv" | cut -d, -f6)
for folder in fp32 fp32/checkpoint; do
  "$evaluate" "$work/$folder" >"$work/table" 2>"$work/stderr" || fail "$folder: $(cat "$work/stderr")"
  accuracy=$(cells "accuracy, %")
  awk -v a="$accuracy" -v t="$trained" 'BEGIN { exit !(a - 100 * t < 0.006 && 100 * t - a < 0.006) }' ||
    fail "accuracy $accuracy %, in training $trained"
done

all=fp32,amp_bf16,amp_fp16,pure_bf16,pure_fp16
for run in fp32 pure_bf16; do
  "$evaluate" "$work/$run" --compare=$all --limit=60 --batch_size=32 >"$work/table" 2>"$work/stderr" ||
    fail "comparing: $(cat "$work/stderr")"
  grep -q "60 test images of cifar10, batches of 32" "$work/table" || fail "limit or batch size: $(head -1 "$work/table")"
  [[ $(cells "loss" | wc -w) -eq 5 ]] || fail "not five columns: $(cat "$work/table")"
  # The first column is the reference.
  [[ $(cells "logits differ from fp32's by" | cut -d' ' -f1) == 0 ]] || fail "fp32 differs: $(cat "$work/table")"
done

refuses "there is no $work/none" "$work/none"
mkdir "$work/empty"
refuses "has no checkpoint" "$work/empty"
refuses 'unknown recipe "fp17"; valid: fp32, amp_bf16, amp_fp16, pure_bf16, pure_fp16, fp8_hybrid' "$work/fp32" --recipe=fp17
refuses 'unknown recipe ""; valid: ' "$work/fp32" --compare=fp32,
refuses "expected one of them" "$work/fp32" --recipe=fp32 --compare=fp32
refuses "0 folders given; expected one"
refuses "2 folders given; expected one" "$work/fp32" "$work/fp32"
refuses "there is no folder \"$work/data\"" "$work/fp32" --set="data { root: \"$work/data\" }"
refuses "holds another model" "$work/fp32" --set='model { width: 8 }'
refuses "batch_size is -1; expected 1 to 65536" "$work/fp32" --batch_size=-1
refuses "limit is -1; expected" "$work/fp32" --limit=-1
refuses "--set='data { rot: 1 }':1:11: " "$work/fp32" --set='data { rot: 1 }'
refuses 'evaluate: unknown flag --recipes; evaluate --help lists the flags' "$work/fp32" --recipes=fp32
cp -r "$work/fp32" "$work/cut"
truncate -s -1 "$work/cut/checkpoint/model.safetensors"
refuses "model.safetensors" "$work/cut"

finish
