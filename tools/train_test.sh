#!/bin/bash
# The binary as a user meets it: exit codes, one line for each mistake, signals.
source tools/shell_test.sh
train=$1

# refuses EXPECTED ARGUMENTS...: exits with 1 and exactly one line on stderr, which holds EXPECTED; leaves no run.
refuses() {
  local expected=$1
  shift
  "$train" --set="run { out: \"$work/refused\" }" "$@" >"$work/stdout" 2>"$work/stderr"
  was_refused 1 "$expected" $? "$@"
  [[ ! -e $work/refused ]] || fail "left something behind: $*"
}

refuses "no/such.textproto: No such file" --config=no/such.textproto
refuses 'train: unknown flag --confgi; train --help lists the flags' --confgi=x
refuses 'unexpected argument "extra"' extra
refuses "--set='model { nmae: 1 }':1:13: " --set='model { nmae: 1 }'
refuses "--set='model {':1:8: Expected identifier, got: the end; a } is missing" --set='model {'
refuses "--set='run { epochs:':1:14: Expected integer, got: the end" --set='run { epochs:'
refuses "loss.softmax: unknown format 'float17'; known: float16, " --set='loss { softmax: "float17" }'
refuses 'unknown model "resnet"; valid: mlp, cnn' --set='model { name: "resnet" }'
# Neither a build for the CPU nor a machine without a GPU trains on one.
refuses 'run.device CUDA: ' --set='run { device: CUDA device_index: 1000 }'
refuses 'precision.tf32 is for an NVIDIA GPU' --set='precision { tf32: true }'
refuses 'run.read_every_steps is 0' --set='run { read_every_steps: 0 }'
refuses 'unknown recipe "fp17"; valid: fp32, amp_bf16, amp_fp16, pure_bf16, pure_fp16, fp8_hybrid' --set='precision { recipe: "fp17" }'
refuses 'path "layer9.*" matches no layer; the model has conv1, bn1, ' \
  --set='precision { override { path: "layer9.*" recipe: "fp32" } }'
refuses 'unknown op "matmul"; valid: conv2d, ' --set='precision { override { op: "matmul" cast: "float32" } }'
refuses "expected path and recipe, or op and cast" --set='precision { override { path: "fc" cast: "float32" } }'
refuses "pure_bf16 is about all weights" --set='precision { override { path: "fc" recipe: "pure_bf16" } }'
refuses 'precision.quantize: path "layer9.*" matches no layer that can be quantised; the model has conv1, conv2' \
  --set='precision { quantize { path: "layer9.*" format: "mxfp4" } }'
refuses 'unknown quantisation format "fp5"; valid: float8_e4m3fn, ' --set='precision { quantize { format: "fp5" } }'
refuses 'unknown quantisation format "float8_e8m0fnu"' --set='precision { quantize { format: "float8_e8m0fnu" } }'
refuses "weights of conv1: a codebook's values must be in ascending order: value 2, 0, is below" \
  --set='precision { quantize { path: "conv1" format: "fp2" value: [-1, 1, 0, 2] } }'
refuses "weights of conv1: a codebook's values must be finite: value 1 is nan" \
  --set='precision { quantize { path: "conv1" format: "fp2" value: [-1, nan, 0, 2] } }'
refuses 'weights of conv1: 3 values given; fp2 has 4' \
  --set='precision { quantize { path: "conv1" format: "fp2" value: [-1, 0, 2] } }'
refuses 'weights of conv1: block_size 32 does not divide the 27 inputs of an output' \
  --set='precision { quantize { path: "conv1" role: WEIGHTS format: "mxfp4" block_size: 32 } }'
refuses "data.micro_batches is 3; expected a number that divides" --set='data { batch_size: 64 micro_batches: 3 }'
refuses "one kind of clipping" --set='optimizer { max_norm: 1 max_value: 1 }'
refuses "data.batch_size is 0" --set='data { batch_size: 0 }'
refuses "learning_rate is nan" --set='optimizer { sgd { learning_rate: nan } }'
refuses "$work/none" --set="data { root: \"$work/none\" }"
refuses "has no checkpoint" --resume

mkdir "$work/cut"
cp datasets/sample/cifar10/*.bin "$work/cut/"
chmod u+w "$work"/cut/*
truncate -s -1 "$work/cut/data_batch_1.bin"
refuses "data_batch_1.bin" --set="data { root: \"$work/cut\" }"

# A signal ends a run with a checkpoint, from which it goes on.
out="$work/stopped"
small='model { width: 4 } data { limit: 200 }'
"$train" --set="$small" --set="run { out: \"$out\" epochs: 100000 }" 2>"$work/log" &
for _ in $(seq 300); do
  [[ -e $out/checkpoint ]] && break
  sleep 0.1
done
kill -TERM $!
wait $!
status=$?
[[ $status -eq 130 ]] || fail "exit code $status after SIGTERM, expected 130: $(tail -3 "$work/log")"
grep -q "go on with" "$work/log" || fail "no word of how to go on: $(tail -3 "$work/log")"
timeout 60 "$train" --set="$small" --set="run { out: \"$out\" epochs: 100000 stop_after_steps: 1 }" --resume \
  2>"$work/log" || fail "resuming failed: $(cat "$work/log")"
grep -q "resuming after step" "$work/log" || fail "did not resume: $(cat "$work/log")"

finish
