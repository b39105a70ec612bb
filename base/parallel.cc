#include "base/parallel.h"

#include <omp.h>

#include <algorithm>

namespace halftone {

int NumThreads() {
#ifdef HALFTONE_SERIAL
  return 1;
#else
  return omp_get_max_threads();
#endif
}

void SetNumThreads(int threads) { omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs()); }

void ParallelFor(size_t n, size_t grain, absl::FunctionRef<void(size_t, size_t)> body) {
  if (n == 0) return;
  const size_t units = (n + grain - 1) / grain;
  const size_t threads = std::min<size_t>(NumThreads(), units);
  if (threads <= 1 || omp_in_parallel()) {
    body(0, n);
    return;
  }
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
    const size_t t = omp_get_thread_num(), of = omp_get_num_threads();
    const size_t begin = std::min(n, units * t / of * grain);
    const size_t end = std::min(n, units * (t + 1) / of * grain);
    if (begin < end) body(begin, end);
  }
}

void ParallelForBlocks(size_t n, size_t size, absl::FunctionRef<void(size_t, size_t, size_t)> body) {
  ParallelFor((n + size - 1) / size, 1, [&](size_t first, size_t last) {
    for (size_t b = first; b < last; ++b) body(b, b * size, std::min(n, (b + 1) * size));
  });
}

}  // namespace halftone
