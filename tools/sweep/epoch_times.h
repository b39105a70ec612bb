// How long epochs take, from those that were measured.
#ifndef HALFTONE_TOOLS_SWEEP_EPOCH_TIMES_H_
#define HALFTONE_TOOLS_SWEEP_EPOCH_TIMES_H_

#include <array>
#include <map>
#include <optional>
#include <string>

#include "tools/sweep/grid.h"

namespace halftone::sweep {

class EpochTimes {
 public:
  void Add(const Run& run, double seconds);

  // The mean of the runs most like this one: of its model, data set and precision; else of its model and data
  // set; of its model; of all. None before there is any.
  std::optional<double> Seconds(const Run& run) const;

 private:
  struct Mean {
    double sum = 0;
    int count = 0;
  };
  static std::array<std::string, 4> Keys(const Run& run);

  std::map<std::string, Mean> means_;
};

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_EPOCH_TIMES_H_
