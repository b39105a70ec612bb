#include "train/checkpoint/pretrained.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/quantized/quantized_array.h"
#include "nn/quantizer.h"
#include "tensor/ops/cast/cast.h"
#include "train/checkpoint/state_dict.h"

namespace halftone {
namespace {

constexpr size_t kNamesInALine = 8;
// Networks of other kinds share a "conv1.weight" or an "fc.bias" by chance.
constexpr double kLeastShare = 0.1;

using Tensors = absl::flat_hash_map<std::string, Tensor>;  // by the model's names

// "bert." of "bert.fc.weight".
std::string FirstPart(absl::string_view name) {
  const size_t dot = name.find('.');
  return dot == name.npos ? "" : std::string(name.substr(0, dot + 1));
}

struct Mapping {
  std::string stripped, added;

  // The model's name of the file's tensor, if it had one.
  std::string Apply(absl::string_view name) const {
    if (!absl::ConsumePrefix(&name, stripped)) return "";
    return absl::StrCat(added, name);
  }
};

bool SameShape(const FileArray& array, const Tensor& tensor) { return array.shape == tensor.shape(); }

// The mapping under which the most tensors match; of equally good ones the plainest.
Mapping FindMapping(const std::vector<FileArray>& arrays, const Tensors& tensors) {
  std::set<std::string> adds = {""};
  for (const auto& [name, tensor] : tensors) adds.insert(FirstPart(name));
  std::map<std::pair<std::string, std::string>, int64_t> matches;  // by what is stripped and what is added
  for (const FileArray& array : arrays) {
    for (const std::string& strip : std::set<std::string>{"", FirstPart(array.name)}) {
      for (const std::string& add : adds) {
        const auto found = tensors.find(Mapping{strip, add}.Apply(array.name));
        if (found != tensors.end() && SameShape(array, found->second)) ++matches[{strip, add}];
      }
    }
  }
  Mapping best;
  int64_t most = 0;
  for (const auto& [mapping, count] : matches) {
    if (count > most) most = count, best = {mapping.first, mapping.second};
  }
  return best;
}

absl::Status Read(const ArrayFile& file, size_t index, Tensor& to) {
  const FileArray& array = file.arrays()[index];
  const size_t size = SizeOf(array.type);
  size_t done = 0;
  if (to.dtype() == DType::kI64) {
    // Counters; a double holds all that ever were.
    return file.ReadChunks(index, [&](absl::Span<const char> bytes) {
      std::vector<double> values(bytes.size() / size);
      ConvertElements(array.type, bytes, absl::MakeSpan(values));
      for (const double v : values) to.data<int64_t>()[done++] = static_cast<int64_t>(v);
      return absl::OkStatus();
    });
  }
  Tensor floats = Tensor::Empty(to.device(), DType::kF32, to.shape());
  RETURN_IF_ERROR(file.ReadChunks(index, [&](absl::Span<const char> bytes) {
    const size_t n = bytes.size() / size;
    ConvertElements(array.type, bytes, floats.span<float>().subspan(done, n));
    done += n;
    return absl::OkStatus();
  }));
  to.CopyFrom(ops::Cast(floats, to.dtype()));
  return absl::OkStatus();
}

std::string Some(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesInALine);
  const std::string list = absl::StrJoin(names.begin(), names.begin() + shown, ", ");
  return shown == names.size() ? list : absl::StrCat(list, ", and ", names.size() - shown, " more");
}

}  // namespace

std::vector<std::string> PretrainedReport::Lines(absl::string_view file) const {
  std::string first = absl::StrFormat("weights: %d tensors, %.3g %% of the model's numbers, from %s", loaded,
                                      100 * share, file);
  if (!stripped.empty()) absl::StrAppend(&first, ", without their \"", stripped, "\"");
  if (!added.empty()) absl::StrAppend(&first, ", as \"", added, "*\"");
  std::vector<std::string> lines = {first};
  if (!missing.empty()) lines.push_back(absl::StrCat("weights: not in the file, new: ", Some(missing)));
  if (!other_shape.empty()) {
    lines.push_back(absl::StrCat("weights: of another shape, new: ", Some(other_shape)));
  }
  if (!unexpected.empty()) {
    lines.push_back(absl::StrCat("weights: in the file, not in the model: ", Some(unexpected)));
  }
  return lines;
}

absl::StatusOr<PretrainedReport> LoadPretrainedWeights(const std::string& path, nn::Module& model) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ArrayFile> file, OpenArrayFile(path));
  for (const auto& [key, value] : file->metadata()) {
    if (!IsQuantizedKey(key)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     " holds codes of quantised weights, not weights; expected floats: convert it with "
                     "--to=float32 first"));
  }
  const std::vector<FileArray>& arrays = file->arrays();
  const std::vector<NamedTensor> state = StateDict(model);
  Tensors tensors;
  for (const NamedTensor& t : state) tensors.emplace(t.name, t.tensor);
  const Mapping mapping = FindMapping(arrays, tensors);
  PretrainedReport report = {.stripped = mapping.stripped, .added = mapping.added};
  struct Match {
    size_t array;
    Tensor tensor;
  };
  std::vector<Match> found;
  absl::flat_hash_set<std::string> seen;
  int64_t numbers = 0, all = 0;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const std::string name = mapping.Apply(arrays[i].name);
    const auto at = tensors.find(name);
    if (at == tensors.end()) {
      report.unexpected.push_back(arrays[i].name);
      continue;
    }
    seen.insert(name);
    const Tensor& tensor = at->second;
    if (!SameShape(arrays[i], tensor)) {
      report.other_shape.push_back(
          absl::StrCat(name, " ", tensor.shape().ToString(), " (there ", arrays[i].shape.ToString(), ")"));
      continue;
    }
    found.push_back({i, tensor});
    if (IsFloat(tensor.dtype())) numbers += tensor.elements();
  }
  for (const NamedTensor& t : state) {
    if (!seen.contains(t.name)) report.missing.push_back(t.name);
    if (IsFloat(t.tensor.dtype())) all += t.tensor.elements();
  }
  report.loaded = static_cast<int64_t>(found.size());
  report.share = static_cast<double>(numbers) / static_cast<double>(all);
  if (report.share < kLeastShare) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s holds another architecture: by name and shape, %.3g %% of the model's numbers are in it, "
        "expected at least %g %%; the model has %s %s%s",
        path, 100 * report.share, 100 * kLeastShare, state.front().name,
        state.front().tensor.shape().ToString(),
        arrays.empty()
            ? ", the file nothing"
            : absl::StrCat(", the file ", arrays.front().name, " ", arrays.front().shape.ToString())));
  }
  for (Match& match : found) RETURN_IF_ERROR(Read(*file, match.array, match.tensor));
  nn::ForEachParameter(model, [](const std::string&, nn::Parameter& p) { p.MarkUpdated(); });
  const absl::Status quantizers = nn::CheckQuantizers(model);
  if (!quantizers.ok()) return absl::DataLossError(absl::StrCat(path, ": ", quantizers.message()));
  return report;
}

}  // namespace halftone
