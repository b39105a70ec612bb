// Where a step's first infinity or NaN arose, found by taking the step once more and looking at every tensor.
//
//   OverflowFinder finder;
//   nn::Graph graph({..., .training = true, .replay = true, .trace = [&](const auto& e) { finder.See(e); }});
//   ... forward and backward, as in the step ...
//   finder.report().OneLine()   // "forward conv2d of conv1, output (float16): inf at [0, 3, 1, 7]"
#ifndef HALFTONE_TRAIN_OVERFLOW_REPORT_H_
#define HALFTONE_TRAIN_OVERFLOW_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "nn/graph.h"
#include "tensor/dtype.h"

namespace halftone {

// A tensor that the step computed.
struct TracedTensor {
  std::string module;  // path; empty outside of any module
  std::string op;
  bool backward = false;
  std::string tensor;  // as nn::TraceEvent
  DType dtype = DType::kF32;
  double amax = 0;  // the largest magnitude of the finite elements

  // "forward conv2d of conv1, output (float16)"
  std::string Where() const;
};

struct OverflowReport {
  bool found = false;
  TracedTensor first;               // with an element that is not finite
  std::vector<int64_t> index;       // of its first such element
  double value = 0;                 // that element: an infinity or NaN
  int64_t nonfinite = 0;            // how many there are in the tensor
  std::vector<TracedTensor> trail;  // what was computed before it, oldest first

  // "forward conv2d of conv1, output (float16): inf at [0, 3, 1, 7]"; "nothing" when there was none.
  std::string OneLine() const;
  // With the trail, a line a tensor: where, and its amax beside the dtype's largest number.
  std::string ToString() const;
};

class OverflowFinder {
 public:
  // Keeps so many tensors before the first one that is not finite.
  explicit OverflowFinder(size_t trail = 10) : trail_(trail) {}

  // Once an infinity or NaN was seen, the rest is not looked at.
  void See(const nn::TraceEvent& event);

  const OverflowReport& report() const { return report_; }

 private:
  size_t trail_;
  OverflowReport report_;
};

}  // namespace halftone

#endif  // HALFTONE_TRAIN_OVERFLOW_REPORT_H_
