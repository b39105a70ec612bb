#!/bin/bash
# The binary as a user meets it: exit codes, what goes to stdout and stderr, files, streams.
source tools/shell_test.sh
check=$1
golden=$2

# expects CODE TEXT ARGUMENTS...: exits with CODE and nothing on stderr; stdout holds TEXT.
expects() {
  local code=$1 text=$2
  shift 2
  "$check" "$@" >"$work/stdout" 2>"$work/stderr"
  local status=$?
  [[ $status -eq $code ]] || fail "exit code $status, expected $code: $*: $(cat "$work/stderr")"
  [[ ! -s $work/stderr ]] || fail "wrote to stderr: $*: $(cat "$work/stderr")"
  grep -qF -- "$text" "$work/stdout" || fail "expected \"$text\" for: $*, got: $(cat "$work/stdout")"
}

# refuses TEXT ARGUMENTS...: exits with 2 and exactly one line on stderr, which holds TEXT.
refuses() {
  local text=$1
  shift
  "$check" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
  was_refused 2 "$text" $? "$@"
}

printf '1,2,-0.5\n' >"$work/safe.csv"
printf '1,70000\n' >"$work/large.csv"
printf '1e-9,1\n' >"$work/small.csv"
printf '\x00\x00\x80\x3f\x00\x00\xc0\x7f' >"$work/nan.raw"       # 1 and a NaN
printf '\x00\x00\x80\x7f' >"$work/infinity.raw"                  # infinity
printf '\xff\xff\xff' >"$work/cut.safetensors"

expects 0 "Conclusion: safe in float16." "$work/safe.csv"
expects 1 "safe with scale 2^-1" "$work/large.csv"
expects 0 "Conclusion: safe in bfloat16." "$work/large.csv" --format=bf16
expects 0 "safe" "$work/large.csv" --max_overflow=1
expects 1 "safe with scale" "$work/small.csv"
expects 0 "safe" "$work/small.csv" --max_underflow_fraction=0.5
expects 1 "unsafe: 1 NaN" "$work/nan.raw" --dtype=float32
expects 1 "unsafe: 1 NaN" "$work/nan.raw" --dtype=float32 --format=all --allow_infinities --max_underflow_fraction=1 \
  --min_sqnr_db=0 --max_overflow=100
expects 1 "unsafe: 1 Inf" "$work/infinity.raw" --dtype=float32
expects 0 "safe" "$work/infinity.raw" --dtype=float32 --allow_infinities
expects 1 "unsafe: 1 Inf" "$work/infinity.raw" --dtype=float32 --allow_infinities --format=e4m3
expects 1 "[2, 1]" "$work/nan.raw" --dtype=float32 --shape=2x1
expects 0 "--max_underflow_fraction" --help

# Real files: images of integers, and tensors that safetensors' own writer wrote (testdata/make.py).
expects 0 "uint8" datasets/sample/cifar10/data_batch_1.bin
expects 1 "unsafe in float16 (2 of 6 tensors, 1 of them safe with a scale)" "$golden"
expects 1 "not converted" "$golden"
expects 1 "float8_e4m3fn" "$golden" --format=all
expects 0 "Conclusion: safe in float16." "$golden" --tensor='^layer' --exclude='overflow|nan'
expects 1 "Shown are the worst 1 of 6 tensors." "$golden" --top=1
expects 0 "int64" "$golden" --integers --tensor=ids
grep -q "not converted" "$work/stdout" && fail "--integers did not check: $(cat "$work/stdout")"

# Formats with scales of their own: 32 numbers, a half of them 1/16 of the others.
for i in {1..16}; do echo 8,0.5; done >"$work/two.csv"
expects 1 "unsafe: 50% underflow" "$work/two.csv" --format=mxfp4
expects 0 "Conclusion: safe in mxfp4." "$work/two.csv" --format=mxfp4 --max_underflow_fraction=0.5
expects 0 "Conclusion: safe in mxfp8; safe in int8." "$work/two.csv" --format=mxfp8,int8 --json="$work/q.json" \
  --html="$work/q.html"
grep -q '"kind": "block"' "$work/q.json" || fail "JSON: $(head -30 "$work/q.json")"
grep -q "mxfp8: with scales of its own." "$work/q.html" || fail "HTML"
expects 1 "saturated" "$golden" --format=nvfp4,int4_affine,fp4
expects 0 "scales" - --format=mxfp8 --dtype=float32 --shape=1x1 --json=- < <(printf '\x00\x00\x80\x3f')

# Streams.
expects 1 "safe with scale 2^-1" - --dtype=float64 < <(printf '\x00\x00\x00\x00\x00\x17\xf1\x40')  # 70000
expects 1 "overflow" - <"$golden"
"$check" - --top=2 < <(cat "$golden") >"$work/stdout" || [[ $? -eq 1 ]] || fail "a pipe: exit code $?"

# Several files: all are checked, whatever is wrong with one.
"$check" "$work/safe.csv" "$work/none.npy" "$work/large.csv" >"$work/stdout" 2>"$work/stderr"
status=$?
[[ $status -eq 2 ]] || fail "exit code $status with a missing file"
[[ $(cat "$work/stderr") == *"none.npy: No such file"* ]] || fail "stderr: $(cat "$work/stderr")"
for text in "safe.csv (csv)" "large.csv (csv)" "all files" "1 file could not be checked"; do
  grep -qF "$text" "$work/stdout" || fail "expected \"$text\", got: $(cat "$work/stdout")"
done

# Reports.
expects 1 "Conclusion" "$golden" --format=half,bf16 --json="$work/r.json" --html="$work/r.html"
grep -q '"schema": "halftone.fp16_check"' "$work/r.json" || fail "JSON: $(head -3 "$work/r.json")"
[[ $(tail -1 "$work/r.html") == "</html>" ]] || fail "HTML: $(tail -1 "$work/r.html")"
[[ $(grep -c "<script" "$work/r.html") -eq 1 ]] || fail "a tensor's name became a script"
expects 0 '"version": 1' "$work/safe.csv" --json=-
head -1 "$work/stdout" | grep -qx '{' || fail "--json=- printed more than JSON: $(head -1 "$work/stdout")"
cp "$golden" "$work/model.safetensors"
refuses "would replace a file to check" "$work/model.safetensors" --json="$work/./model.safetensors"
cmp -s "$golden" "$work/model.safetensors" || fail "an input was overwritten"
refuses "no/such/r.json" "$work/safe.csv" --json="$work/no/such/r.json"
[[ -z $(find "$work" -name '*.tmp*') ]] || fail "temporary files left: $(ls "$work")"

refuses "no file is named"
refuses "none.npy: No such file" "$work/none.npy"
refuses "cut.safetensors" "$work/cut.safetensors"
refuses "--device=tpu: expected cpu or cuda" "$work/safe.csv" --device=tpu
refuses "unknown flag or no value: --formt=half" "$work/safe.csv" --formt=half
refuses "unknown format 'fp17'; known: float16" "$work/safe.csv" --format=fp17
refuses "--max_underflow_fraction=nan: expected a fraction" "$work/safe.csv" --max_underflow_fraction=nan
refuses "no tensor matches" "$golden" --tensor=nothing
refuses "--tensor=[ is not a POSIX extended regular expression" "$golden" --tensor=[
refuses "stdin" -

finish
