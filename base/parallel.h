// Loops over several threads.
//
// OpenMP's threads are used, because oneDNN's own run there too: a second pool beside it would fight for the
// same cores. Which thread gets which part is fixed by (n, grain, thread count), and code that wants the same
// bits for any number of threads makes each part's result depend on its indices alone.
#ifndef HALFTONE_BASE_PARALLEL_H_
#define HALFTONE_BASE_PARALLEL_H_

#include <cstddef>

#include "absl/functional/function_ref.h"

namespace halftone {

// Threads that the next loop uses; at least 1.
int NumThreads();

// Sets it for this process, for oneDNN as well. 0: as many as the cores this process may use.
void SetNumThreads(int threads);

// Calls body(begin, end) for consecutive ranges that cover [0, n), at most one range a thread, each a
// multiple of `grain` (> 0) but for the last. Runs inline when n <= grain or when called within another loop.
void ParallelFor(size_t n, size_t grain, absl::FunctionRef<void(size_t begin, size_t end)> body);

// Calls body(block, begin, end) for the blocks [block*size, min(n, (block+1)*size)): the blocks, unlike the
// ranges above, do not depend on the number of threads, so per-block sums added in order are reproducible.
void ParallelForBlocks(size_t n, size_t size,
                       absl::FunctionRef<void(size_t block, size_t begin, size_t end)> body);

}  // namespace halftone

#endif  // HALFTONE_BASE_PARALLEL_H_
