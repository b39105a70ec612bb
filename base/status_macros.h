// RETURN_IF_ERROR(expr) and ASSIGN_OR_RETURN(lhs, expr): hand an error on to the caller.
#ifndef HALFTONE_BASE_STATUS_MACROS_H_
#define HALFTONE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expr)                 \
  do {                                        \
    absl::Status halftone_status = (expr);    \
    if (!halftone_status.ok()) [[unlikely]] { \
      return halftone_status;                 \
    }                                         \
  } while (false)

#define HALFTONE_CONCAT_INNER(a, b) a##b
#define HALFTONE_CONCAT(a, b) HALFTONE_CONCAT_INNER(a, b)

#define ASSIGN_OR_RETURN(lhs, expr) \
  HALFTONE_ASSIGN_OR_RETURN(HALFTONE_CONCAT(halftone_or_, __LINE__), lhs, expr)

#define HALFTONE_ASSIGN_OR_RETURN(var, lhs, expr) \
  auto var = (expr);                              \
  if (!var.ok()) [[unlikely]] {                   \
    return std::move(var).status();               \
  }                                               \
  lhs = *std::move(var)

#endif  // HALFTONE_BASE_STATUS_MACROS_H_
