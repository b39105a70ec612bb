#!/bin/bash
# The binary as a user meets it: exit codes, one line for each mistake, nothing half-written.
source tools/shell_test.sh
convert=$1

# refuses CODE EXPECTED ARGUMENTS...: exits with CODE and one line on stderr, which holds EXPECTED; leaves the folder
# as it was.
refuses() {
  local code=$1 expected=$2 before after
  shift 2
  before=$(ls -lR "$work/files")
  "$convert" "$@" >"$work/stdout" 2>"$work/stderr"
  was_refused $code "$expected" $? "$@"
  after=$(ls -lR "$work/files")
  [[ ! -s $work/stdout ]] || fail "wrote to stdout: $*"
  [[ $before == "$after" ]] || fail "left something behind: $*: $after"
}

# converts EXPECTED ARGUMENTS...: exits with 0 and one line on stdout, which holds EXPECTED; nothing on stderr.
converts() {
  local expected=$1
  shift
  "$convert" "$@" >"$work/stdout" 2>"$work/stderr" || fail "exit code $? for: $*: $(cat "$work/stderr")"
  [[ $(wc -l <"$work/stdout") -eq 1 && ! -s $work/stderr ]] || fail "not one line for: $*"
  grep -qF -- "$expected" "$work/stdout" || fail "expected \"$expected\" for: $*, got: $(cat "$work/stdout")"
}

mkdir "$work/files"
f=$work/files
# 1, -2, 0.1, 70000
printf '\x00\x00\x80\x3f\x00\x00\x00\xc0\xcd\xcc\xcc\x3d\x00\xb8\x88\x47' >"$f/raw"
raw=(--dtype=float32 "$f/raw")

# There and back, by way of every format of file.
converts "1 of 1 arrays to float32, 16 bytes in, 16 bytes out: $f/a.npy" "${raw[@]}" --to=float32 --out="$f/a.npy" \
  --shape=2x2
converts "to float32" "$f/a.npy" --to f32 --out "$f/a.safetensors"
converts "to float64, 16 bytes in, 32 bytes out" "$f/a.safetensors" --to=fp64 --out="$f/wide.safetensors"
converts "to float32, 32 bytes in, 16 bytes out" "$f/wide.safetensors" --to=float32 --out="$f/back.npy"
cmp "$f/a.npy" "$f/back.npy" || fail "float32 to float64 and back differs"
head -c 128 "$f/a.npy" | tr -d '\0' | grep -aqF "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }" ||
  fail "another .npy header"

# Codes as they stand at the file's end: 1, -2, 0.1, 70000 (as infinity, or saturated).
ends_with() {
  local bytes
  bytes=$(tail -c "$(($(wc -w <<<"$2")))" "$f/$1" | od -An -tx1 | xargs)
  [[ $bytes == "$2" ]] || fail "$1 ends with $bytes, expected $2"
}
converts "to float16, 16 bytes in, 8 bytes out" "${raw[@]}" --to=half --out="$f/h.npy" --allow_unsafe
ends_with h.npy "00 3c 00 c0 66 2e 00 7c"
converts "to float16" "${raw[@]}" --to=fp16 --out="$f/h.npy" --allow_unsafe --overflow=saturate --rounding=up
ends_with h.npy "00 3c 00 c0 67 2e ff 7b"
converts "to float8_e4m3fn, 16 bytes in, 4 bytes out" "${raw[@]}" --to=e4m3 --out="$f/q.safetensors" --allow_unsafe
ends_with q.safetensors "38 c0 1d 7f"
converts "to float8_e5m2" "${raw[@]}" --to=e5m2 --out="$f/q.safetensors" --allow_unsafe --rounding=toward_zero
ends_with q.safetensors "3c c0 2e 7b"
converts "to float8_e4m3fnuz" "${raw[@]}" --to=e4m3fnuz --out="$f/q.safetensors" --allow_unsafe
converts "to bfloat16" "${raw[@]}" --to=bf16 --out="$f/b.safetensors"
ends_with b.safetensors "80 3f 00 c0 cd 3d 89 47"

# Codes of 4 bits: as floats, and copied beside others.
header='{"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"x":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}'
printf "\\x$(printf %02x ${#header})\\0\\0\\0\\0\\0\\0\\0%s\\x21\\xf3\\0\\0\\x80\\x3f" "$header" >"$f/f4.safetensors"
converts "2 of 2 arrays to bfloat16, 6 bytes in, 10 bytes out" "$f/f4.safetensors" --to=bf16 --out="$f/c.safetensors"
grep -aqF '"shape":[4]' "$f/c.safetensors" || fail "another shape than the codes'"
ends_with c.safetensors "00 3f 80 3f c0 3f c0 c0 80 3f"
converts "1 of 2 arrays to bfloat16, 6 bytes in, 4 bytes out" "$f/f4.safetensors" --to=bf16 --exclude=q --out="$f/c.safetensors"
ends_with c.safetensors "80 3f 21 f3"

converts "to bfloat16" "$f/a.safetensors" --to=bfloat16 --out="$f/b2.safetensors"

# Stochastic rounding depends on the seed alone.
head -c 400000 /dev/zero | tr '\0' '\76' >"$f/many"
for run in "1 1 a" "1 2 b" "2 2 c"; do
  read -r seed threads name <<<"$run"
  OMP_NUM_THREADS=$threads "$convert" --dtype=float32 "$f/many" --to=bf16 --rounding=stochastic --seed="$seed" \
    --out="$f/s$name.safetensors" >"$work/stdout" || fail "stochastic"
done
cmp "$f/sa.safetensors" "$f/sb.safetensors" || fail "one seed, two results"
cmp -s "$f/sa.safetensors" "$f/sc.safetensors" && fail "two seeds, one result"

# With scales, and back: 64 times 3.0039 (0x40404040) in rows of 32; in mxfp4 each is 6 times 2^-1.
head -c 256 /dev/zero | tr '\0' '\100' >"$f/w"
w=(--dtype=float32 --shape=2x32 "$f/w")
converts "1 of 1 arrays to mxfp4, 256 bytes in, 34 bytes out, 64 numbers at 4.25 bits, before at 32: $f/w4.safetensors" \
  "${w[@]}" --to=mxfp4 --out="$f/w4.safetensors"
ends_with w4.safetensors "77 77 7e 7e"
grep -aqF '{\"format\":\"mxfp4\",\"block\":32,\"row\":32,\"dtype\":\"float32\",\"shape\":[2,32]}' \
  "$f/w4.safetensors" || fail "other metadata: $(head -c 400 "$f/w4.safetensors")"
converts "1 of 1 arrays to float32, 34 bytes in, 256 bytes out" "$f/w4.safetensors" --to=float32 --out="$f/w.npy"
ends_with w.npy "00 00 40 40"
converts "34 bytes in, 128 bytes out" "$f/w4.safetensors" --to=bf16 --out="$f/w16.safetensors"
ends_with w16.safetensors "40 40"
converts "36 bytes in, 256 bytes out" - --to=float32 --out="$f/w.safetensors" < <(
  "$convert" "${w[@]}" --to=int4 --rounding=toward_zero --out="$f/i4.safetensors" >/dev/null && cat "$f/i4.safetensors")
converts "64 numbers at 5 bits" "${w[@]}" --to=int4 --per_channel --out="$f/i4.safetensors"
converts "64 numbers at 5 bits" "${w[@]}" --to=nvfp4 --overflow=saturate --out="$f/n4.safetensors"
converts "64 numbers at 4.5 bits" "${w[@]}" --to=e2m1 --out="$f/e4.safetensors"

toq=(--to=mxfp4 --out="$f/new.safetensors")
refuses 2 'array "a" [2, 2] cannot become mxfp4: its rows of 2 numbers are no whole blocks of 32; leave it out: --exclude="a"' \
  "$f/a.npy" "${toq[@]}"
refuses 2 "none of the 1 arrays is of floats in two dimensions" --dtype=float32 "$f/w" "${toq[@]}"
refuses 2 "codes and scales go to .safetensors files alone" "${w[@]}" --to=int8 --out="$f/new.npy"
refuses 2 "--per_channel: mxfp4 has no scales but its own" "${w[@]}" "${toq[@]}" --per_channel
refuses 2 "--per_channel: half has no scales" "${w[@]}" --to=half --out="$f/new.npy" --per_channel
refuses 2 "--overflow: numbers in mxfp4 saturate" "${w[@]}" "${toq[@]}" --overflow=nan
refuses 2 'w4.safetensors: array "w" is in mxfp4 already; convert to float32 first' "$f/w4.safetensors" "${toq[@]}"
head -c 256 /dev/zero | tr '\0' '\377' >"$f/nan"
refuses 1 'unsafe in mxfp4: array "nan" has nan at index 0' --dtype=float32 --shape=2x32 "$f/nan" "${toq[@]}"
converts "to mxfp4" --dtype=float32 --shape=2x32 "$f/nan" --to=mxfp4 --out="$f/nan.safetensors" --allow_unsafe

# Damaged: other names, other sizes, metadata that makes no sense.
damaged() {  # damaged SED EXPECTED
  LC_ALL=C sed "$1" "$f/w4.safetensors" >"$f/damaged.safetensors"
  refuses 2 "damaged.safetensors: $2" "$f/damaged.safetensors" --to=float32 --out="$f/new.safetensors"
}
damaged 's/"w.scale"/"w.scalf"/' 'no array "w.scale": expected float8_e8m0fnu [2, 1] of quantised array "w" in mxfp4'
damaged 's/F8_E8M0/F8_E4M3/' 'array "w.scale": expected float8_e8m0fnu [2, 1]'
damaged 's/"shape":\[2,32\]/"shape":[1,64]/' 'array "w": expected float4_e2m1fn [2, 32] of quantised array "w" in mxfp4, not'
damaged 's/mxfp4/mxfp5/' 'metadata "halftone.quantized.w": unknown format "mxfp5"'
damaged 's/row\\":32/row\\":16/' 'metadata "halftone.quantized.w": rows of 16 numbers are no whole blocks of 32'

# In place.
cp "$f/a.safetensors" "$f/place.safetensors"
converts "to bfloat16" "$f/place.safetensors" --to=bf16 --out="$f/place.safetensors"
tail -c 8 "$f/place.safetensors" | cmp - <(tail -c 8 "$f/b.safetensors") || fail "in place differs"

# Unsafe numbers.
refuses 1 'unsafe in float16: 1 of 1 arrays, the worst "raw": of 4 numbers 1 overflow' "${raw[@]}" --to=half \
  --out="$f/new.npy"
refuses 1 "give --allow_unsafe" "${raw[@]}" --to=e4m3 --out="$f/new.safetensors" --overflow=saturate

# Mistakes.
to=(--to=bf16 --out="$f/new.safetensors")
refuses 2 "one input file is wanted, not 0" "${to[@]}"
refuses 2 "one input file is wanted, not 2" "$f/a.npy" "$f/b.npy" "${to[@]}"
refuses 2 "--to is missing" "$f/a.npy" --out="$f/new.npy"
refuses 2 "--out is missing" "$f/a.npy" --to=half
refuses 2 "unknown flag or no value: --ot=half" "$f/a.npy" --ot=half "${to[@]}"
refuses 2 "unknown flag or no value: --seed" "$f/a.npy" "${to[@]}" --seed
refuses 2 "--to: unknown format 'fp17'; known: float16, bfloat16, float8_e4m3fn" "$f/a.npy" --to=fp17 --out="$f/new.npy"
refuses 2 "--to: files hold no int8_affine; known: float16, " "$f/a.npy" --to=int8_affine --out="$f/new.npy"
refuses 2 "--to: e8m0 is for scales" "$f/a.npy" --to=e8m0 --out="$f/new.npy"
refuses 2 "--to: no file's elements are e3m4" "$f/a.npy" --to=e3m4 --out="$f/new.npy"
refuses 2 "float64, float6_e2m3fn, float6_e3m2fn, float4_e2m1fn, int8" "$f/a.npy" --to=fp17 --out="$f/new.npy"
refuses 2 "--rounding: fp4 is a codebook and takes the nearest value" "$f/a.npy" --to=fp4 --rounding=stochastic --out="$f/new.safetensors"
refuses 2 "--rounding: unknown 'odd'; known: nearest_even, nearest_away" "$f/a.npy" "${to[@]}" --rounding=odd
refuses 2 "--overflow: unknown 'wrap'; known: infinity, saturate, nan" "$f/a.npy" "${to[@]}" --overflow=wrap
refuses 2 "--seed: 'x'" "$f/a.npy" "${to[@]}" --seed=x
refuses 2 "--include=( is not a POSIX extended regular expression" "$f/a.npy" "${to[@]}" --include='('
refuses 2 "none of the 1 arrays" "$f/a.npy" "${to[@]}" --include=b
refuses 2 "none of the 1 arrays" "$f/a.npy" "${to[@]}" --exclude='^a$'
refuses 2 "none of the 1 arrays" --dtype=int8 "$f/raw" "${to[@]}"
refuses 2 "--dtype=floot: expected one of float64" --dtype=floot "$f/raw" "${to[@]}"
refuses 2 "--shape=2,x: expected sizes" "${raw[@]}" "${to[@]}" --shape=2,x
refuses 2 "takes 24 bytes, but the file has 16" "${raw[@]}" "${to[@]}" --shape=2,3
refuses 2 "no/such.npy: No such file" no/such.npy "${to[@]}"
refuses 2 "$f/raw: neither its first bytes nor its name" "$f/raw" "${to[@]}"
refuses 2 "$f is a directory" "$f/a.npy" --to=half --out="$f"
refuses 2 "none/new.npy: No such file" "$f/a.npy" --to=float32 --out="$f/none/new.npy"
refuses 2 "end it with .safetensors or .npy" "$f/a.npy" --to=half --out="$f/new"
refuses 2 "NumPy has no bfloat16; convert to float32, or write safetensors" "$f/a.npy" --to=bf16 --out="$f/new.npy"
head -c 150 "$f/a.safetensors" >"$f/cut.safetensors"
truncate -s -1 "$f/cut.safetensors"
refuses 2 "cut.safetensors" "$f/cut.safetensors" "${to[@]}"

# A file that cannot grow beyond 64 KiB, as on a full disk.
(
  ulimit -f 64
  trap '' XFSZ
  "$convert" --dtype=float32 "$f/many" "${to[@]}" >"$work/stdout" 2>"$work/stderr"
  echo $? >"$work/status"
)
[[ $(cat "$work/status") -eq 2 ]] || fail "exit code $(cat "$work/status") on a full disk"
grep -qF "cannot write $f/new.safetensors: File too large" "$work/stderr" || fail "full disk: $(cat "$work/stderr")"
[[ -z $(ls "$f" | grep new) ]] || fail "left something on a full disk: $(ls "$f")"

"$convert" - --to=bf16 --out="$f/in.safetensors" <"$f/a.safetensors" >"$work/stdout" || fail "standard input"
cmp "$f/in.safetensors" "$f/b2.safetensors" || fail "standard input differs"

"$convert" --help | grep -q -- "--allow_unsafe" || fail "--help"

finish
