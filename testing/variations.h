// Runs a test's body again and again on every instruction set that this processor has, and on several numbers
// of threads.
#ifndef HALFTONE_TESTING_VARIATIONS_H_
#define HALFTONE_TESTING_VARIATIONS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "base/parallel.h"
#include "gtest/gtest.h"
#include "hwy/highway.h"

namespace halftone {

// body(target) with Highway's dispatch confined to `target`; what fails says hwy::TargetName(target).
inline void ForEachTarget(absl::FunctionRef<void(int64_t target)> body) {
  hwy::SetSupportedTargetsForTest(0);
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body(target);
  }
  hwy::SetSupportedTargetsForTest(0);
}

// body(threads) with 1, 2 and 3 threads.
inline void ForEachThreadCount(absl::FunctionRef<void(int threads)> body) {
  const int before = NumThreads();
  for (const int threads : {1, 2, 3}) {
    SetNumThreads(threads);
    body(threads);
  }
  SetNumThreads(before);
}

}  // namespace halftone

#endif  // HALFTONE_TESTING_VARIATIONS_H_
