// A new data set: a CSV file, served batch by batch. Which rows a batch holds follows from the seed and its
// position alone, and so a training that is resumed at any batch gets those it would have got.
//
//   ./bazelw run //examples:new_dataset

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "amp/recipe.h"
#include "base/status_macros.h"
#include "datasets/batch.h"
#include "datasets/shuffle.h"
#include "io/open_array_file.h"
#include "nn/layers.h"
#include "nn/optim/adam.h"
#include "nn/optim/schedule.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int kClasses = 3;

struct Point {
  float x = 0, y = 0;
  int64_t label = 0;  // below kClasses
};

// Rows "x,y,class". What a file says is checked here, once, and believed from here on.
absl::StatusOr<std::vector<Point>> LoadPoints(const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ArrayFile> file, OpenArrayFile(path));
  const FileArray& table = file->arrays()[0];
  if (file->format() != "csv" || table.shape[1] != 3) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected CSV with rows x,y,class"));
  }
  std::vector<double> values(table.shape.elements());  // CSV's numbers are float64
  char* to = reinterpret_cast<char*>(values.data());
  RETURN_IF_ERROR(file->ReadChunks(0, [&](absl::Span<const char> chunk) {
    to = std::copy(chunk.begin(), chunk.end(), to);
    return absl::OkStatus();
  }));
  std::vector<Point> points;
  for (size_t i = 0; i < values.size(); i += 3) {
    const double x = values[i], y = values[i + 1], label = values[i + 2];
    if (!std::isfinite(x + y) || (label != 0 && label != 1 && label != 2)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": row ", i / 3, " is ", x, ",", y, ",", label,
                                                     "; expected finite x and y and a class 0 to 2"));
    }
    points.push_back({static_cast<float>(x), static_cast<float>(y), static_cast<int64_t>(label)});
  }
  return points;
}

// Shuffled anew in every epoch; the points that fill no batch are left out of it. `points` outlives this.
class PointBatches : public BatchSource {
 public:
  PointBatches(Device& device, const std::vector<Point>& points, int64_t batch_size, uint64_t seed,
               LoaderPosition start = {})
      : device_(device), points_(points), batch_size_(batch_size), seed_(seed), position_(start) {}

  Batch Next() override {
    std::vector<uint32_t> order(points_.size());
    ShuffledOrder(seed_, position_.epoch, absl::MakeSpan(order));
    Batch batch = {Tensor::Empty(device_, DType::kF32, {batch_size_, 2}),
                   Tensor::Empty(device_, DType::kI64, {batch_size_})};
    for (int64_t i = 0; i < batch_size_; ++i) {
      const Point& point = points_[order[position_.batch * batch_size_ + i]];
      batch.input.data<float>()[2 * i] = point.x;
      batch.input.data<float>()[2 * i + 1] = point.y;
      batch.labels.data<int64_t>()[i] = point.label;
    }
    if (++position_.batch == batches_per_epoch()) position_ = {.epoch = position_.epoch + 1};
    return batch;
  }
  LoaderPosition position() const override { return position_; }
  int64_t batches_per_epoch() const override { return std::ssize(points_) / batch_size_; }

 private:
  Device& device_;
  const std::vector<Point>& points_;
  const int64_t batch_size_;
  const uint64_t seed_;
  LoaderPosition position_;
};

bool Same(const Batch& a, const Batch& b) {
  return a.input.span<float>() == b.input.span<float>() &&
         a.labels.span<int64_t>() == b.labels.span<int64_t>();
}

absl::Status Run() {
  constexpr int kEpochs = 5, kBatch = 32;
  ASSIGN_OR_RETURN(const std::vector<Point> points, LoadPoints("examples/points.csv"));
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe("amp_bf16"));
  ASSIGN_OR_RETURN(const GradScaler scaler, GradScaler::Create({.enabled = recipe.scales_loss}));
  ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> adam, MakeAdam({}));
  Device device;
  PointBatches batches(device, points, kBatch, /*seed=*/1);
  const int64_t steps = kEpochs * batches.batches_per_epoch();
  ASSIGN_OR_RETURN(std::unique_ptr<Schedule> schedule, MakeConstantSchedule({}, 0.05, steps));
  auto model = std::make_unique<nn::Linear>(nn::LinearOptions{.in = 2, .out = kClasses});
  Trainer trainer(device, std::move(model), std::move(adam), std::move(schedule), scaler,
                  {.policy = amp::MakePolicy(recipe)});
  int64_t other_seeds = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const LoaderPosition at = batches.position();
    const Batch batch = batches.Next();
    // A source that starts here gives the same batch; one of another seed does not.
    if (!Same(batch, PointBatches(device, points, kBatch, 1, at).Next())) {
      return absl::InternalError("resumed, it is another batch");
    }
    other_seeds += Same(batch, PointBatches(device, points, kBatch, 2, at).Next());
    ASSIGN_OR_RETURN(const StepResult result, trainer.Step(batch));
    if (batches.position().batch == 0) absl::PrintF("epoch %d: loss %.3f\n", at.epoch, result.loss);
  }
  if (other_seeds != 0) return absl::InternalError("the seed changes nothing");
  PointBatches all(device, points, /*batch_size=*/60, /*seed=*/1);
  ASSIGN_OR_RETURN(const Evaluation evaluation, trainer.Evaluate(all));
  absl::PrintF("%d batches, each the same from a source that starts at it\naccuracy %.1f %%\n", steps,
               100 * evaluation.accuracy);
  return evaluation.accuracy > 0.95 ? absl::OkStatus() : absl::InternalError("it did not learn");
}

}  // namespace
}  // namespace halftone

int main() {
  const absl::Status status = halftone::Run();
  if (!status.ok()) std::fprintf(stderr, "new_dataset: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
