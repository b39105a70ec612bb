#!/bin/bash
# The printed table: the literature's figures, a line for each format, columns that align.
set -u
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

both=$("$1") || fail "exit code $?"
table=${both%%$'\n\n'*}
integers=${both#*$'\n\n'}
has_row() {
  grep -qE "^$1 *\$" <<<"$(tr -s ' ' <<<"$table")" || fail "no row: $1"
}
has_row 'float16 16 5 10 15 65504 6\.10e-05 5\.96e-08 9\.77e-04 3\.3 \+-0 yes as IEEE 754'
has_row 'bfloat16 16 8 7 127 3\.39e\+38 1\.18e-38 9\.18e-41 0\.0078125 2\.4 \+-0 yes as IEEE 754'
has_row 'float8_e4m3fn 8 4 3 7 448 0\.015625 1\.95e-03 0\.125 1\.2 \+-0 no all ones'
has_row 'float8_e5m2 8 5 2 15 57344 6\.10e-05 1\.53e-05 0\.25 0\.9 \+-0 yes as IEEE 754'
has_row 'float8_e4m3fnuz 8 4 3 8 240 0\.0078125 9\.77e-04 0\.125 1\.2 0 no negative zero'
has_row 'float4_e2m1fn 4 2 1 1 6 1 0\.5 0\.5 0\.6 \+-0 no none'
has_row 'float8_e8m0fnu 8 8 0 127 1\.70e\+38 5\.88e-39 none 1 0\.3 none no all ones'
[[ $(wc -l <<<"$table") -ge 14 ]] || fail "too few lines"
grep -qE '^int4 +4 +-7 +7 +no$' <<<"$integers" || fail "no row of int4"
grep -qE '^int8_affine +8 +-128 +127 +yes$' <<<"$integers" || fail "no row of int8_affine"
grep -qE '^mxfp4 +4\.25 +float4_e2m1fn +32 +float8_e8m0fnu$' <<<"$both" || fail "no row of mxfp4"
grep -qE '^nvfp4 +4\.5 +float4_e2m1fn +16 +float8_e4m3fn, and a float32' <<<"$both" || fail "no row of nvfp4"
grep -qE '^fp3 +3 +8$' <<<"$both" || fail "no row of fp3"
# The last column starts at the same place in every line.
starts=$(sed -E 's/(NaN codes|as IEEE 754|all ones|negative zero|none)$//' <<<"$table" | awk '{print length}' | sort -u | wc -l)
[[ $starts -eq 1 ]] || fail "columns do not align"

[[ $failures -eq 0 ]] || { echo "$table"; exit 1; }

"$1" --ops | grep -q '^conv2d  *lower precision  *a matrix product' || { echo "no row of conv2d"; exit 1; }
"$1" --ops | grep -q '^cross_entropy  *float32 ' || { echo "no row of cross_entropy"; exit 1; }
"$1" --recipes | grep -q '^amp_fp16  *mixed_float16  *float16  *dynamic ' || { echo "no row of amp_fp16"; exit 1; }
"$1" --recipes | grep -q '^mxfp4  *none  *none  *weights, activations and gradients in MXFP4' || { echo "no row of mxfp4"; exit 1; }
activations=$("$1" --activations)
for row in '^relu  *max(x, 0)  *f.(0) = 0  *output  *nothing  *0  *0  *0  *0  *0  *0$' '^prelu  *x > 0 ? x : a x  *f.(0) = a  *input  *a = 0.25 ' \
           '^gelu  *x \* (1 + erf(x / sqrt(2))) / 2  *none  *input '; do
  grep -q "$row" <<<"$activations" || { echo "no row $row"; echo "$activations"; exit 1; }
done
[ "$(wc -l <<<"$activations")" -ge 14 ] || { echo "too few activations"; exit 1; }
if message=$("$1" --opps 2>&1); then echo "took a flag that is none"; exit 1; fi
[ "$message" = 'formats: unexpected argument "--opps"; expected nothing, --ops, --recipes, --activations or --help' ] || { echo "$message"; exit 1; }
usage=$("$1" --help) || { echo "--help: exit code $?"; exit 1; }
grep -q '^  formats --recipes  ' <<<"$usage" || { echo "--help: $usage"; exit 1; }
