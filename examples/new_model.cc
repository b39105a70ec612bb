// A new model: a constructor, Forward and Visit, as in models/. It says nothing of precision, and learns in
// float32 and in mixed precision; here the sample of CIFAR-10 that the repository carries.
//
//   ./bazelw run //examples:new_model

#include <cstdio>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "amp/recipe.h"
#include "base/status_macros.h"
#include "datasets/dataset.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"
#include "nn/module.h"
#include "nn/optim/adam.h"
#include "nn/optim/schedule.h"
#include "train/trainer.h"

namespace halftone {
namespace {

// A pixel with its neighbours and by itself, two branches side by side that are added. With w = width the
// maps are [N, 16, 16, w], then [N, 8, 8, w], then [N, 4, 4, w].
class TwoBranch : public nn::Module {
 public:
  explicit TwoBranch(const models::ModelConfig& c)
      : stem_({.in = 3, .out = c.width, .stride = 2, .padding = 1}),
        act1_(*c.activation),
        around_({.in = c.width, .out = c.width, .padding = 1, .bias = false}),
        point_({.in = c.width, .out = c.width, .kernel = 1, .bias = false}),
        bn_({.channels = c.width}),
        act2_(*c.activation),
        fc_({.in = 4 * 4 * c.width, .out = c.num_classes}) {}

  nn::Variable Forward(const nn::Variable& images) override {
    const nn::Variable x = nn::MaxPool2d(act1_(stem_(images)), 2, 2);
    const nn::Variable around = around_(x), point = point_(x);
    const nn::Variable y = bn_.Forward(around, point, act2_);
    return fc_(nn::Flatten(nn::AdaptiveAvgPool2d(y, 4, 4)));
  }

  void Visit(nn::Visitor& v) override {
    v("stem", stem_);
    v("act1", act1_);
    v("around", around_);
    v("point", point_);
    v("bn", bn_);
    v("act2", act2_);
    v("fc", fc_);
  }

 private:
  nn::Conv2d stem_;
  nn::ActivationLayer act1_;
  nn::Conv2d around_, point_;
  nn::BatchNorm2d bn_;
  nn::ActivationLayer act2_;
  nn::Linear fc_;
};

template <typename M>
std::unique_ptr<nn::Module> Make(const models::ModelConfig& config) {
  return std::make_unique<M>(config);
}

// As a row of kModels in models/model.cc, every config could name it.
constexpr models::ModelRow kRow = {.name = "two_branch",
                                   .about = "two branches of convolutions; width is their channels",
                                   .make = Make<TwoBranch>,
                                   .width = 24};

// The forward pass, op by op. Each convolution and the linear layer must compute in `expected`.
absl::Status ShowForward(nn::Module& model, const nn::CastPolicy& policy, const Tensor& images,
                         DType expected) {
  bool as_expected = true;
  const auto trace = [&](const nn::TraceEvent& e) {
    if (e.op == "cast") return;
    absl::PrintF("  %-6s %-19s  %s\n", e.module, e.op, NameOf(e.value.dtype()));
    if (e.op == "conv2d" || e.op == "linear") as_expected &= e.value.dtype() == expected;
  };
  // As in training, but the running statistics of batch norm stay as they are.
  nn::Graph graph(
      {.device = &images.device(), .policy = &policy, .training = true, .replay = true, .trace = trace});
  model(graph.Input(images));
  return as_expected ? absl::OkStatus() : absl::InternalError("not in the precision of the recipe");
}

absl::Status Train(absl::string_view recipe_name, DType expected, const Dataset& data) {
  constexpr int kEpochs = 8, kBatch = 50;
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(recipe_name));
  const nn::CastPolicy policy = amp::MakePolicy(recipe);
  ASSIGN_OR_RETURN(const GradScaler scaler, GradScaler::Create({.enabled = recipe.scales_loss}));
  ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> adam, MakeAdam({}));
  Device device;
  ASSIGN_OR_RETURN(const auto batches, data.TrainBatches(device, {.batch_size = kBatch, .seed = 1}));
  ASSIGN_OR_RETURN(const auto test, data.TestBatches(device, kBatch));
  const int64_t steps = kEpochs * batches->batches_per_epoch();
  ASSIGN_OR_RETURN(std::unique_ptr<Schedule> schedule, MakeConstantSchedule({}, 2e-3, steps));
  std::unique_ptr<nn::Module> model = kRow.make({.activation = ops::FindActivation(kRow.activation),
                                                 .width = kRow.width,
                                                 .num_classes = data.num_classes()});
  Trainer trainer(device, std::move(model), std::move(adam), std::move(schedule), scaler, {.policy = policy});

  absl::PrintF("%s\n", recipe_name);
  const Tensor black = Tensor::Zeros(device, DType::kF32, {1, 32, 32, 3});
  RETURN_IF_ERROR(ShowForward(trainer.model(), policy, black, expected));
  for (int64_t step = 0; step < steps; ++step) RETURN_IF_ERROR(trainer.Step(batches->Next()).status());
  // The names are those of Visit, and so are a checkpoint's. The weights stay float32.
  for (const nn::Parameter* p : trainer.parameters()) {
    if (p->master().dtype() != DType::kF32) return absl::InternalError("a weight is not float32");
    if (expected == DType::kF32) absl::PrintF("  %s\n", p->path());
  }
  ASSIGN_OR_RETURN(const Evaluation evaluation, trainer.Evaluate(*test));
  absl::PrintF("  loss %.3f, accuracy %.0f %% (by chance 10 %%)\n", evaluation.loss,
               100 * evaluation.accuracy);
  return evaluation.accuracy > 0.25 ? absl::OkStatus() : absl::InternalError("it did not learn");
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const Dataset data, LoadDataset("cifar10", {.root = "datasets/sample/cifar10"}));
  RETURN_IF_ERROR(Train("fp32", DType::kF32, data));
  return Train("amp_bf16", DType::kBF16, data);
}

}  // namespace
}  // namespace halftone

int main() {
  const absl::Status status = halftone::Run();
  if (!status.ok()) std::fprintf(stderr, "new_model: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
