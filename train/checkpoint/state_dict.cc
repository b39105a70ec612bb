#include "train/checkpoint/state_dict.h"

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nn/quantizer.h"

namespace halftone {
namespace {

absl::Status AnotherModel(absl::string_view file, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(file, " holds another model: ", what, "; use the config that it was made with"));
}

}  // namespace

std::vector<NamedTensor> StateDict(nn::Module& model) {
  std::vector<NamedTensor> tensors;
  nn::ForEachParameter(model, [&](const std::string& path, nn::Parameter& p) {
    tensors.push_back({path, p.master()});
  });
  nn::ForEachBuffer(model, [&](const std::string& path, nn::Buffer& b) {
    tensors.push_back({path, b.value});
  });
  return tensors;
}

absl::Status LoadStateDict(const SafetensorsReader& reader, absl::string_view file, nn::Module& model,
                           QuantizerState quantizers) {
  const auto skips = [&](absl::string_view name) {
    return quantizers == QuantizerState::kLeaveOut && nn::BelongsToQuantizer(name);
  };
  absl::flat_hash_set<std::string> names;
  for (NamedTensor& t : StateDict(model)) {
    if (skips(t.name)) continue;
    names.insert(t.name);
    const ArrayInfo* info = reader.Find(t.name);
    if (info == nullptr) return AnotherModel(file, absl::StrCat("it has no ", t.name));
    if (!(info->shape == t.tensor.shape()) || info->dtype != t.tensor.dtype()) {
      return AnotherModel(
          file, absl::StrCat(t.name, " is ", NameOf(info->dtype), " ", info->shape.ToString(), " there and ",
                             NameOf(t.tensor.dtype()), " ", t.tensor.shape().ToString(), " here"));
    }
    RETURN_IF_ERROR(reader.ReadInto(t.name, t.tensor));
  }
  for (const ArrayInfo& info : reader.arrays()) {
    if (!names.contains(info.name) && !skips(info.name))
      return AnotherModel(file, absl::StrCat("it also has ", info.name));
  }
  nn::ForEachParameter(model, [](const std::string&, nn::Parameter& p) { p.MarkUpdated(); });
  const absl::Status status = nn::CheckQuantizers(model);
  return status.ok() ? status : absl::DataLossError(absl::StrCat(file, ": ", status.message()));
}

}  // namespace halftone
