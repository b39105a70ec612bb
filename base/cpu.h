// What this processor is: for logs, reports and benchmarks.
#ifndef HALFTONE_BASE_CPU_H_
#define HALFTONE_BASE_CPU_H_

#include <string>

namespace halftone {

struct CpuFeatures {
  bool avx2 = false;
  bool avx512 = false;  // F, BW, DQ, VL
  bool avx512_bf16 = false;
  bool avx512_fp16 = false;
  bool amx_bf16 = false;
  bool amx_fp16 = false;
};

// Asks the processor; the operating system may still have switched a feature off.
CpuFeatures DetectCpuFeatures();

// One line: model name, cores that this process may use, features. For example
// "AMD EPYC, 2 cores, AVX2 AVX512 AVX512-BF16".
std::string DescribeCpu();

}  // namespace halftone

#endif  // HALFTONE_BASE_CPU_H_
