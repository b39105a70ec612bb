# Test accuracy by epoch, from cifar.csv:  gnuplot curves.gp  writes curves.svg.
set terminal svg size 900,480 dynamic font "sans-serif,13" background "#ffffff"
set output "curves.svg"
set datafile separator ","
set multiplot layout 1,2
models = "cnn resnet18 resnet20 mobilenetv2 vit mixer gcn"
colors = "#0072b2 #d55e00 #e69f00 #009e73 #cc79a7 #56b4e9 #555555"
set xlabel "epoch"
set xrange [0.8:5.2]
set xtics 1
set yrange [0:*]
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
of(dataset, model, precision) = sprintf("< awk -F, '$1 == \"%s\" && $2 == \"%s\" && $3 == \"%s\"' cifar.csv", dataset, model, precision)
do for [dataset in "cifar10 cifar100"] {
  set title dataset eq "cifar10" ? "CIFAR-10" : "CIFAR-100"
  set ylabel "test accuracy, %"
  set key outside bottom center horizontal reverse Left samplen 1.5 maxrows 2
  plot for [i = 1:words(models)] of(dataset, word(models, i), "fp32") using 4:(100 * $8) \
           with lines lw 2 lc rgb word(colors, i) title word(models, i), \
       for [i = 1:words(models)] of(dataset, word(models, i), "amp_bf16") using 4:(100 * $8) \
           with lines lw 2 dt 2 lc rgb word(colors, i) notitle
}
unset multiplot
