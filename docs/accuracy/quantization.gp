# Test accuracy by bits of a weight, from quantization.csv:  gnuplot quantization.gp  writes quantization.svg.
set terminal svg size 900,420 dynamic font "sans-serif,13" background "#ffffff"
set output "quantization.svg"
set datafile separator ","
set multiplot layout 1,2
set xlabel "bits of a weight, all layers and scales"
set ylabel "test accuracy, %"
set logscale x 2
set xrange [1.8:40]
set xtics (2, 3, 4, 6, 8, 32)
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set key outside bottom center horizontal reverse Left samplen 1.5 maxrows 2
# What awk selects of a model: each seed's run.
of(model, which) = sprintf("< awk -F, '$1 == \"%s\" && %s' quantization.csv", model, which)
# Means over the seeds, in the order of their bits.
mean(model, which) = sprintf("< awk -F, '$1 == \"%s\" && %s {n[$2]++; s[$2] += $9; b[$2] = $5} END {for (r in n) printf \"%%f,%%f\\n\", b[r], s[r] / n[r]}' quantization.csv | sort -g", model, which)
learned = '($3 == "yes" || $2 == "fp32")'
fixed = '$3 == "no"'
others = '$3 == "" && $2 != "fp32"'
do for [model in "resnet20 cnn"] {
  set title model eq "cnn" ? "CNN" : "ResNet20"
  plot of(model, learned) using 5:(100 * $9) with points pt 7 ps 0.4 lc rgb "#0072b2" notitle, \
       mean(model, learned) using 1:(100 * $2) with linespoints pt 7 ps 0.7 lw 2 lc rgb "#0072b2" title "learned codebooks, float32", \
       of(model, fixed) using 5:(100 * $9) with points pt 5 ps 0.4 lc rgb "#e69f00" notitle, \
       mean(model, fixed) using 1:(100 * $2) with points pt 5 ps 0.9 lc rgb "#e69f00" title "fixed codebooks", \
       of(model, others) using 5:(100 * $9) with points pt 9 ps 0.4 lc rgb "#009e73" notitle, \
       mean(model, others) using 1:(100 * $2) with points pt 9 ps 0.9 lc rgb "#009e73" title "MX, NVFP4, integers, FP8"
}
unset multiplot
