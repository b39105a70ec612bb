// The table of models: what `model { name: "cnn" width: 64 }` stands for.
#ifndef HALFTONE_MODELS_MODEL_H_
#define HALFTONE_MODELS_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nn/module.h"
#include "tensor/ops/activation/activation.h"

namespace halftone::models {

// One image: what a data set gives and a model takes.
struct ImageShape {
  int channels = 3;
  int height = 32;
  int width = 32;

  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

struct ModelOptions {
  std::string name;                 // a row of Models()
  std::string activation = "relu";  // a row of ops::Activations()
  int64_t width = 0;                // the model's own measure of its width; 0: the published one
  int64_t num_classes = 10;
  ImageShape image;                 // refused where the model takes another
};

// What a model's maker gets: options that have been checked, with no zero that stands for a default.
struct ModelConfig {
  const ops::Activation* activation = nullptr;
  int64_t width = 0;
  int64_t num_classes = 0;
};

struct ModelRow {
  absl::string_view name;
  absl::string_view about;  // width in words, the published size
  int64_t width;            // the published one
  ImageShape image;
  std::unique_ptr<nn::Module> (*make)(const ModelConfig& config);
  // Has no classifier: gives as many logits as its width, of which the classes are the first, and takes any image of as
  // many numbers. `image` is one for the published width.
  bool keeps_width = false;
};

absl::Span<const ModelRow> Models();

// A model without weights yet (nn::Initialize gives them); takes images [N, H, W, C], gives logits [N, num_classes], or
// [N, width] where the row keeps_width.
// Unknown names are errors that list the valid ones; so are a width or a number of classes below 1 or beyond reason.
absl::StatusOr<std::unique_ptr<nn::Module>> MakeModel(const ModelOptions& options);

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_MODEL_H_
