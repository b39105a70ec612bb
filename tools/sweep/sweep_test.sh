#!/bin/bash
# Whole sweeps: killed again and again, locked, in shards, with runs that fail. Runs are tiny.
source tools/shell_test.sh
sweep=$1

cat >"$work/tiny.textproto" <<'END'
base {
  data { root: "datasets/sample/cifar10" batch_size: 20 }
  optimizer { sgd { learning_rate: 0.05 momentum: 0.9 } }
  run { threads: 1 }
}
model { name: "cnn" width: 2 }
activation: ["relu", "gelu"]
dataset { name: "cifar10" }
precision: ["FP32", "FP4"]
epochs: 2
limit: 60
END
tiny=(--config="$work/tiny.textproto")

# expect CODE NAME ARGUMENTS...: runs a sweep, whose output goes to $work/NAME.log.
expect() {
  local code=$1 log=$work/$2.log
  shift 2
  timeout 100 "$sweep" "$@" >"$log" 2>&1
  local status=$?
  [[ $status -eq $code ]] || fail "exit code $status, expected $code: $*: $(cat "$log")"
}

# refuses EXPECTED ARGUMENTS...: exits with 1 and one line that holds EXPECTED.
refuses() {
  local expected=$1
  shift
  expect 1 refused "$@"
  [[ $(wc -l <"$work/refused.log") -eq 1 ]] || fail "not one line for: $*: $(cat "$work/refused.log")"
  grep -qF -- "$expected" "$work/refused.log" ||
    fail "expected \"$expected\" for: $*, got: $(cat "$work/refused.log")"
}

# What two sweeps must agree in: all but times, peaks (a run that was resumed has another) and folders.
rows() { cut -d, -f1-9,12 "$1/final_results.csv"; }
details() { sed 's/"[^"]*"//g' "$1/run_details.csv" | cut -d, -f1-13; }
same() {
  diff <(rows "$1" | sort) <(rows "$2" | sort) || fail "$2: other results than $1"
  diff <(details "$1" | sort) <(details "$2" | sort) || fail "$2: other details than $1"
}

### Bad input.
refuses "no/such.textproto: No such file" --config=no/such.textproto
refuses 'unknown model "resnet"; valid: mlp, cnn' "${tiny[@]}" --set='model { name: "resnet" }'
refuses 'has no field named "modle"' "${tiny[@]}" --set='modle { name: "cnn" }'
refuses "the grid is empty: include and exclude leave none of its 4 runs" "${tiny[@]}" --set='exclude {}'
refuses "--shard=0/2: expected i/n" "${tiny[@]}" --shard=0/2
refuses "jobs is -1; expected 1 to" "${tiny[@]}" --jobs=-1
refuses 'unexpected argument "extra"' "${tiny[@]}" extra
refuses "no folder $work/none" "${tiny[@]}" --out="$work/refused" \
  --set="base { data { root: \"$work/none\" } }"
refuses "--merge: no --out" --merge "$work"
[[ ! -e $work/refused ]] || fail "a refused sweep left something behind"

### Undisturbed.
expect 0 whole "${tiny[@]}" --out="$work/whole"
[[ $(wc -l <"$work/whole/final_results.csv") -eq 9 ]] ||
  fail "expected 8 rows: $(cat "$work/whole/final_results.csv")"
columns=model,activation,dataset,precision,epoch,train_acc,train_loss,test_acc,test_loss,time,memory
head -1 "$work/whole/final_results.csv" | grep -qx "$columns,estimated_memory" ||
  fail "other columns: $(head -1 "$work/whole/final_results.csv")"
grep -q "$work/whole/final_results.csv" "$work/whole.log" || fail "no word of the CSV: $(cat "$work/whole.log")"
cp "$work/whole/final_results.csv" "$work/before.csv"
expect 0 again "${tiny[@]}" --out="$work/whole"
cmp "$work/before.csv" "$work/whole/final_results.csv" || fail "a sweep that is done was done again"
grep -q "4 runs, 0 of them done, 1 at a time with 1 thread each$" "$work/whole.log" ||
  fail "other threads: $(cat "$work/whole.log")"
expect 0 dry "${tiny[@]}" --out="$work/whole" --dry_run
grep -q "one after the other with 1 thread, without evaluation" "$work/dry.log" ||
  fail "other threads in a dry run: $(cat "$work/dry.log")"
[[ $(grep -c "rows .* done" "$work/dry.log") -eq 4 ]] || fail "dry run: $(cat "$work/dry.log")"
expect 0 large "${tiny[@]}" --out="$work/large" --dry_run --set='base { data { batch_size: 61 } }'
[[ $(grep -c "cannot be: .*fewer than one batch of 61" "$work/large.log") -eq 4 ]] ||
  fail "a batch larger than the data set: $(cat "$work/large.log")"
refuses "holds another sweep (modified: epochs: 2 -> 3)" "${tiny[@]}" --out="$work/whole" --set='epochs: 3'

### A CSV that was cut in the middle of a row.
truncate -s -7 "$work/whole/final_results.csv"
expect 0 cut "${tiny[@]}" --out="$work/whole"
grep -q "final_results.csv ended in the middle of a row, which is cut off" "$work/cut.log" ||
  fail "no word of the cut row: $(cat "$work/cut.log")"
cmp "$work/before.csv" "$work/whole/final_results.csv" || fail "the row that was cut is not what it was"

### Two at a time; in shards.
expect 0 jobs "${tiny[@]}" --out="$work/jobs" --jobs=2
same "$work/whole" "$work/jobs"
expect 0 shard1 "${tiny[@]}" --out="$work/shards" --shard=1/2
expect 3 merged1 --merge --out="$work/merged" "$work"/shards/shard-*
grep -q "2 of 4 runs done, 2 missing" "$work/merged1.log" || fail "half of a merge: $(cat "$work/merged1.log")"
expect 0 shard2 "${tiny[@]}" --out="$work/shards" --shard=2/2
expect 0 merged --merge --out="$work/merged" "$work"/shards/shard-*
diff <(rows "$work/whole") <(rows "$work/merged") || fail "the merged shards are another sweep"
same "$work/whole" "$work/merged"
run=$(sed -n 2p "$work/merged/run_details.csv" | sed 's/.*,//')
[[ -e $work/merged/$run/metrics.csv ]] || fail "the merged details lead to no run: $run"
refuses "cnn-relu-cifar10-FP32 is in" --merge --out="$work/twice" "$work/whole" "$work/shards/shard-1-of-2"

### Runs that fail, while the others go on.
bad=("${tiny[@]}"
  --set='model { name: "vit" width: 10 depth: 1 } activation: "tanh" include { activation: "tanh" }'
  --set='change { model: "cnn" precision: "fp32" config { optimizer { sgd { learning_rate: 1e38 } } } }')
bad_details=$work/bad/run_details.csv
expect 3 bad "${bad[@]}" --out="$work/bad"
grep -q "^cnn,tanh,cifar10,FP32,1,1,,,32,32,no,diverged," "$bad_details" ||
  fail "no divergence: $(cat "$bad_details")"
[[ $(grep -c "^vit,tanh,cifar10,FP.*,failed,.*heads must divide the width" "$bad_details") -eq 2 ]] ||
  fail "no failures: $(cat "$bad_details")"
[[ $(grep -c "^cnn,tanh,cifar10,FP4," "$work/bad/final_results.csv") -eq 2 ]] || fail "the others did not go on"
grep -q "1 of 4 runs done, 3 failed" "$work/bad.log" || fail "$(cat "$work/bad.log")"
cp "$bad_details" "$work/before.csv"
expect 3 bad "${bad[@]}" --out="$work/bad"
cmp "$work/before.csv" "$bad_details" || fail "failed runs were run again unasked"
expect 3 bad "${bad[@]}" --out="$work/bad" --retry_failed
[[ $(grep -c failed "$bad_details") -eq 2 ]] || fail "what is there after a retry: $(cat "$bad_details")"
grep -c "heads must" "$work/bad/runs/vit-tanh-cifar10-FP32/log.txt" | grep -qx 2 ||
  fail "a failed run was not run again"

### The lock; a signal; resuming.
long=("${tiny[@]}" --set='epochs: 100000' --out="$work/long")
"$sweep" "${long[@]}" >"$work/long.log" 2>&1 &
wait_for_rows() {
  for _ in $(seq 300); do
    [[ -e $work/long/final_results.csv && $(wc -l <"$work/long/final_results.csv") -gt $1 ]] && return
    sleep 0.1
  done
  fail "no rows: $(cat "$work/long.log")"
}
wait_for_rows 2
refuses "$work/long is in use by another sweep, process $! on " "${long[@]}"
kill -TERM $!
wait $!
status=$?
[[ $status -eq 130 ]] || fail "exit code $status after SIGTERM, expected 130: $(cat "$work/long.log")"
grep -q "the same command goes on" "$work/long.log" || fail "no word of how to go on: $(cat "$work/long.log")"
rows_before=$(wc -l <"$work/long/final_results.csv")
[[ $rows_before -eq $(wc -l <"$work/long/runs/cnn-relu-cifar10-FP32/metrics.csv") ]] ||
  fail "a finished epoch is not in the CSV"
"$sweep" "${long[@]}" >"$work/long.log" 2>&1 &
wait_for_rows "$rows_before"
grep -q "resuming after step" "$work/long/runs/cnn-relu-cifar10-FP32/log.txt" || fail "did not resume"
kill -KILL $!
wait $! 2>/dev/null
for _ in $(seq 50); do
  pgrep -f "run_one=$work/long/" >/dev/null || break
  sleep 0.1
done
pgrep -f "run_one=$work/long/" >/dev/null && fail "the run outlived its sweep"

### Killed ten times, at random: the sweep, or one of its runs and then the sweep.
seed=$RANDOM
echo "seed of the kills: $seed"
RANDOM=$seed
moment() { sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"; }
kills=0 round=0
while [[ $kills -lt 10 ]]; do
  "$sweep" "${tiny[@]}" --out="$work/killed$round" >>"$work/killed.log" 2>&1 &
  pid=$!
  moment
  if [[ $((RANDOM % 3)) -eq 0 ]]; then
    child=$(pgrep -P $pid)
    [[ -n $child ]] && kill -KILL $child 2>/dev/null && kills=$((kills + 1))
    moment
  fi
  if kill -KILL $pid 2>/dev/null; then kills=$((kills + 1)); fi
  wait $pid 2>/dev/null
  if [[ $? -eq 0 ]]; then  # it was through
    same "$work/whole" "$work/killed$round"
    round=$((round + 1))
  fi
done
expect 0 killed_last "${tiny[@]}" --out="$work/killed$round"
same "$work/whole" "$work/killed$round"

finish
