// HALFTONE_CHECK(condition): stops the program at a bug of our own, naming the place.
//
// For what the outside world can cause (files, configs, flags, hardware) use absl::Status instead.
#ifndef HALFTONE_BASE_CHECK_H_
#define HALFTONE_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define HALFTONE_CHECK(condition)                                                                       \
  do {                                                                                                  \
    if (!(condition)) [[unlikely]] {                                                                    \
      std::fprintf(stderr, "%s:%d: check failed: %s. This is a bug in Halftone.\n", __FILE__, __LINE__, \
                   #condition);                                                                         \
      std::abort();                                                                                     \
    }                                                                                                   \
  } while (false)

#endif  // HALFTONE_BASE_CHECK_H_
