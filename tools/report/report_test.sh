#!/bin/bash
# The binary as a user meets it: what it writes, with and without gnuplot, and what it says of bad input.
source tools/shell_test.sh
report=$PWD/$1

# refuses TEXT ARGUMENTS...: exits with 1 and exactly one line on stderr, which holds TEXT.
refuses() {
  local text=$1
  shift
  "$report" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
  was_refused 1 "$text" $? "$@"
}

# makes PATH FOLDER WARNING...: writes a report with the programs of PATH; stderr holds these warnings, a line
# each.
makes() {
  local path=$1 folder=$2
  shift 2
  env PATH="$path" "$report" "$folder" >"$work/stdout" 2>"$work/stderr" ||
    fail "exit code $?: $(cat "$work/stderr")"
  [[ $(cat "$work/stdout") == "$folder/report.html" ]] || fail "stdout: $(cat "$work/stdout")"
  [[ $(tail -1 "$folder/report.html") == "</html>" ]] || fail "HTML: $(tail -1 "$folder/report.html")"
  [[ $(head -1 "$folder/summary.md") == "# Precisions compared" ]] ||
    fail "summary: $(head -1 "$folder/summary.md")"
  [[ -z $(find "$folder" -name '*.tmp*' -o -name '.drawing*') ]] ||
    fail "temporary files left: $(find "$folder")"
  [[ $(wc -l <"$work/stderr") -eq $# ]] || fail "expected $# warnings, got: $(cat "$work/stderr")"
  local warning
  for warning; do
    grep -qF -- "$warning" "$work/stderr" || fail "expected \"$warning\", got: $(cat "$work/stderr")"
  done
}

header=model,activation,dataset,precision,epoch,train_acc,train_loss,test_acc,test_loss,time,memory
header+=,estimated_memory
plots="accuracy activations bits estimate loss memory time"
no_details="no run_details.csv"
evil="it's \`touch pwned\` <script>alert(1)</script> \$(touch pwned) @x"
folder=$work/sweep
mkdir -p "$folder/plots"
{
  echo "$header"
  for model in cnn "$evil"; do
    for activation in relu gelu; do
      for precision in FP32 FP4; do
        for epoch in 1 2; do
          echo "$model,$activation,cifar10,$precision,$epoch,0.5,1.5,0.4$epoch,1.6,2.5,100,${precision#FP}"
        done
      done
    done
  done
} >"$folder/final_results.csv"

# Without gnuplot: everything but the pictures. Old ones would lie; other files are nobody's business.
mkdir "$work/none"
echo old >"$folder/plots/memory.png"
echo mine >"$folder/plots/mine.gp"
makes "$work/none" "$folder" "$no_details" "install the package gnuplot-nox"
[[ ! -e $folder/plots/memory.png ]] || fail "a picture of an earlier time is left"
[[ $(cat "$folder/plots/mine.gp") == mine ]] || fail "a file of somebody else was touched"
grep -q "None were drawn" "$folder/report.html" || fail "the page does not say that there are no plots"
for plot in $plots; do
  [[ -s $folder/plots/$plot.gp && -s $folder/plots/$plot.dat ]] || fail "no script or data of $plot"
done

# A gnuplot that fails: its first error line. One that draws nothing and one that is killed are told too.
mkdir "$work/failing" "$work/idle" "$work/killed"
cat >"$work/failing/gnuplot" <<'END'
#!/bin/sh
printf '\n  plot x\n  ^\n"%s" line 6: warning: hm\n"%s" line 7: no such thing\nmore\n' "$2" "$2" >&2
exit 1
END
printf '#!/bin/sh\n' >"$work/idle/gnuplot"
printf '#!/bin/sh\nkill -9 $$\n' >"$work/killed/gnuplot"
chmod +x "$work"/*/gnuplot
makes "$work/failing" "$folder" "$no_details" 'gnuplot failed: "accuracy.gp" line 7: no such thing'
makes "$work/idle" "$folder" "$no_details" "gnuplot failed: cannot"
makes "$work/killed" "$folder" "$no_details" "gnuplot failed: ended by signal 9"

if gnuplot=$(command -v gnuplot); then
  makes "$(dirname "$gnuplot")" "$folder" "$no_details"
  for plot in $plots; do
    [[ $(head -c 4 "$folder/plots/$plot.png" | tail -c 3) == PNG ]] || fail "$plot.png is no picture"
    [[ $(tail -c 10 "$folder/plots/$plot.svg") == *"</svg>"* ]] || fail "$plot.svg is not whole"
  done
  [[ $(grep -o "data:image/svg" "$folder/report.html" | wc -l) -eq 7 ]] || fail "the page has not all plots"
  [[ -z $(find "$work" -name pwned) ]] || fail "a model's name ran as a command"
  # Numbers that are none, one epoch: the axes have nothing to go by.
  mkdir "$work/nothing"
  printf '%s\ncnn,relu,cifar10,FP4,1,nan,inf,,nan,,,\n' "$header" >"$work/nothing/final_results.csv"
  makes "$(dirname "$gnuplot")" "$work/nothing" "$no_details"
  [[ $(ls "$work/nothing/plots"/*.png | wc -l) -eq 7 ]] ||
    fail "not all was drawn: $(ls "$work/nothing/plots")"
  # People may change a script and draw again.
  rm "$folder/plots/time.png" "$folder/plots/time.svg"
  (cd "$folder/plots" && "$gnuplot" -d time.gp 2>"$work/stderr") || fail "time.gp: $(cat "$work/stderr")"
  [[ -s $folder/plots/time.png && -s $folder/plots/time.svg ]] || fail "time.gp drew nothing"
else
  echo "no gnuplot on PATH: drawing was not tested"
fi
[[ $(grep -c "<script" "$folder/report.html") -eq 2 ]] || fail "a model's name became a script"

# A row that was cut off: the whole rows are taken.
mkdir "$work/cut"
head -c -9 "$folder/final_results.csv" >"$work/cut/final_results.csv"
makes "$work/none" "$work/cut" "$no_details" "line 17 has no end" "fewer epochs" "gnuplot-nox"
grep -q "8 runs" "$work/cut/summary.md" || fail "$(sed -n 3p "$work/cut/summary.md")"

# All runs failed before their first epoch's end.
mkdir "$work/failed"
echo "$header" >"$work/failed/final_results.csv"
{
  echo model,activation,dataset,precision,epoch,seed,status,reason
  echo 'cnn,relu,cifar10,FP4,1,1,failed,"out of memory, twice"'
} >"$work/failed/run_details.csv"
makes "$work/none" "$work/failed"
grep -q "out of memory, twice" "$work/failed/report.html" || fail "the reason is not shown"

refuses "expected one folder"
refuses "expected one folder" "$folder" "$folder"
refuses "none is not a folder" "$work/none/none"
refuses "final_results.csv: No such file" "$work/none"
mkdir "$work/bad"
: >"$work/bad/final_results.csv"
refuses "is empty" "$work/bad"
echo "$header" >"$work/bad/final_results.csv"
refuses "has no whole row" "$work/bad"
echo "epoch,loss" >"$work/bad/final_results.csv"
refuses 'the columns are "epoch,loss"; expected model,activation' "$work/bad"
cp "$folder/final_results.csv" "$work/bad"
: >"$work/bad/plots"
refuses "$work/bad/plots" "$work/bad"
[[ ! -e $work/bad/report.html ]] || fail "a report in spite of an error"

finish
