// A small made-up sweep whose sums can be done in the head.
#ifndef HALFTONE_TOOLS_REPORT_SAMPLE_RESULTS_H_
#define HALFTONE_TOOLS_REPORT_SAMPLE_RESULTS_H_

#include "tools/report/results.h"

namespace halftone::report {

// The CNN on CIFAR-10 with relu (two seeds in fp32) and gelu, in fp32 and fp4; ViT in fp4, which diverged.
SweepResults SampleResults();

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_SAMPLE_RESULTS_H_
