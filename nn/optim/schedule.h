// Learning-rate schedules: pure functions of the step, so that resuming needs nothing but the step's number.
//
// `base_rate` is the optimiser's configured learning rate: the peak of every schedule here. `total_steps` is
// the length of the whole training; steps count from 0, and a step beyond the end gets the rate of the end.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Schedule> schedule,
//                    MakeOneCycleSchedule({.warmup_fraction = 0.2}, /*base_rate=*/0.1, /*total_steps=*/1000));
//   optimizer->Step(params, schedule->At(step));
#ifndef HALFTONE_NN_OPTIM_SCHEDULE_H_
#define HALFTONE_NN_OPTIM_SCHEDULE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nn/optim/step_options.h"

namespace halftone {

class Schedule {
 public:
  virtual ~Schedule() = default;
  // The hyper-parameters of step 0, 1, ...
  virtual StepOptions At(int64_t step) const = 0;
};

// The base rate throughout.
struct ConstantScheduleOptions {};

// base_rate * gamma^floor(step / step_size).
struct StepScheduleOptions {
  int64_t step_size = 0;  // in steps; at least 1
  double gamma = 0.1;     // above 0
};

// base_rate * gamma^(number of milestones that are <= step).
struct MultiStepScheduleOptions {
  std::vector<int64_t> milestones;  // in steps; at least one, rising, each at least 1
  double gamma = 0.1;               // above 0
};

// Half a cosine wave from base_rate in step 0 to base_rate * final_fraction in step total_steps, the one
// after the last. (Loshchilov and Hutter, "SGDR", 2017, without restarts.)
struct CosineScheduleOptions {
  double final_fraction = 0;  // 0 to 1
};

// What follows the warm-up.
enum class Decay { kConstant, kLinear, kCosine };

// A straight line from base_rate * initial_fraction in step 0 to base_rate in step warmup_steps, then on to
// base_rate * final_fraction in step total_steps, the one after the last.
struct LinearWarmupScheduleOptions {
  int64_t warmup_steps = 0;     // 0 to total_steps
  double initial_fraction = 0;  // 0 to 1
  Decay decay = Decay::kConstant;
  double final_fraction = 0;  // 0 to 1; of no effect with kConstant
};

// The way from one rate to another: a straight line, or half a cosine wave, flat at both ends.
enum class Anneal { kLinear, kCosine };

// Up to base_rate in the first part of the training, down in the rest. (Smith and Topin, "Super-Convergence",
// 2018.)
//
// With up = max(1, floor(warmup_fraction * total_steps)), the peak is step up - 1. The defaults are a
// triangle that starts and ends at zero without spending a step there: with anneal kLinear the rate of step i
// is
//     base_rate * (i + 1) / up                                  while i < up,
//     base_rate * (total_steps - i) / (total_steps - up)        from then on.
// With both divisors set this is PyTorch's OneCycleLR (wherever warmup_fraction * total_steps is whole; its
// div_factor is initial_divisor, its final_div_factor is final_divisor / initial_divisor).
struct OneCycleScheduleOptions {
  double warmup_fraction = 0.3;  // above 0, below 1
  Anneal anneal = Anneal::kLinear;
  // The first step's rate is base_rate / initial_divisor (at least 1); 0: up from zero, as above.
  double initial_divisor = 0;
  // The last step's rate is base_rate / final_divisor (at least 1); 0: down to zero, as above.
  double final_divisor = 0;
  // The momentum goes from max_momentum down to min_momentum and up again while the rate goes up and down;
  // each at least 0 and below 1. Both 0: the optimiser's own momentum stays.
  double min_momentum = 0;
  double max_momentum = 0;
};

// Each refuses options outside the ranges above, a base_rate that is negative or not finite, and total_steps
// below 1, with one line that names the field and its value.
absl::StatusOr<std::unique_ptr<Schedule>> MakeConstantSchedule(const ConstantScheduleOptions& options,
                                                               double base_rate, int64_t total_steps);
absl::StatusOr<std::unique_ptr<Schedule>> MakeStepSchedule(const StepScheduleOptions& options,
                                                           double base_rate, int64_t total_steps);
absl::StatusOr<std::unique_ptr<Schedule>> MakeMultiStepSchedule(const MultiStepScheduleOptions& options,
                                                                double base_rate, int64_t total_steps);
absl::StatusOr<std::unique_ptr<Schedule>> MakeCosineSchedule(const CosineScheduleOptions& options,
                                                             double base_rate, int64_t total_steps);
absl::StatusOr<std::unique_ptr<Schedule>> MakeLinearWarmupSchedule(const LinearWarmupScheduleOptions& options,
                                                                   double base_rate, int64_t total_steps);
absl::StatusOr<std::unique_ptr<Schedule>> MakeOneCycleSchedule(const OneCycleScheduleOptions& options,
                                                               double base_rate, int64_t total_steps);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_SCHEDULE_H_
