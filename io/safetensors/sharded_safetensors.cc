#include "io/safetensors/sharded_safetensors.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/binary_formats.h"
#include "io/file_errors.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

constexpr size_t kMaxFileName = 255;  // that of file systems

// Takes the index's events one by one. Any event out of place stops the parser, so nothing is ever nested
// deeper than the format's two levels, whatever the file holds.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsIndex index;
  std::string error;
  bool has_weights = false;

  bool null() override { return Value("null"); }
  bool boolean(bool value) override { return Value(value ? "true" : "false"); }
  bool number_integer(int64_t value) override { return Value(absl::StrCat(value)); }
  bool number_unsigned(uint64_t value) override { return Value(absl::StrCat(value)); }
  bool number_float(double, const std::string& text) override { return Value(text); }
  bool binary(nlohmann::json::binary_t&) override { return Unexpected(); }
  bool start_array(size_t) override { return Unexpected(); }
  bool end_array() override { return Unexpected(); }

  bool string(std::string& value) override {
    if (state_ != State::kWeights) return Value(value);
    index.weight_map[key_] = std::move(value);
    return true;
  }

  bool start_object(size_t) override {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && key_ == "metadata") {
      state_ = State::kMetadata;
    } else if (state_ == State::kTop && key_ == "weight_map") {
      state_ = State::kWeights;
      has_weights = true;
    } else {
      return Unexpected();
    }
    return true;
  }

  bool key(std::string& key) override {
    key_ = std::move(key);
    bool first = true;
    if (state_ == State::kTop) first = tops_.emplace(key_, "").second;
    if (state_ == State::kMetadata) first = index.metadata.emplace(key_, "").second;
    if (state_ == State::kWeights) first = index.weight_map.emplace(key_, "").second;
    if (!first) error = absl::StrCat(QuotedForError(key_), " comes twice");
    return first;
  }

  bool end_object() override {
    state_ = state_ == State::kTop ? State::kEnd : State::kTop;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    if (error.empty()) error = absl::StrCat("not valid JSON at its byte ", position);
    return false;
  }

 private:
  enum class State { kStart, kTop, kMetadata, kWeights, kEnd };

  // Facts of the metadata are kept as text.
  bool Value(std::string text) {
    if (state_ != State::kMetadata) return Unexpected();
    index.metadata[key_] = std::move(text);
    return true;
  }

  bool Unexpected() {
    if (state_ == State::kWeights) {
      error = absl::StrCat("the weight_map gives tensor ", QuotedForError(key_),
                           " something other than a file's name");
    } else if (state_ == State::kStart || state_ == State::kEnd) {
      error = "the index is not a JSON object";
    } else {
      error =
          absl::StrCat("the index's value of ", QuotedForError(key_), " is not what the format has there");
    }
    return false;
  }

  State state_ = State::kStart;
  std::string key_;  // the last key read, at any level
  std::map<std::string, std::string> tops_;
};

class ShardedFile final : public ArrayFile {
 public:
  using Shards = std::vector<std::unique_ptr<ArrayFile>>;

  // arrays[i] is origins[i].second of shards[origins[i].first].
  ShardedFile(Shards shards, std::vector<FileArray> arrays, std::vector<std::pair<size_t, size_t>> origins,
              std::map<std::string, std::string> metadata)
      : ArrayFile("safetensors-index", std::move(arrays), std::move(metadata)),
        shards_(std::move(shards)),
        origins_(std::move(origins)) {}

  bool random_access() const override { return true; }

 private:
  absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const override {
    return shards_[origins_[index].first]->ReadRange(origins_[index].second, begin, end, f);
  }

  Shards shards_;
  std::vector<std::pair<size_t, size_t>> origins_;
};

}  // namespace

absl::StatusOr<SafetensorsIndex> ParseSafetensorsIndex(absl::string_view path, absl::string_view json) {
  // The parser below takes a NUL for the end of its input, and would let anything hide behind it.
  if (const size_t nul = json.find('\0'); nul != absl::string_view::npos) {
    return Damaged(path, absl::StrCat("not valid JSON at its byte ", nul + 1));
  }
  Handler handler;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &handler)) return Damaged(path, handler.error);
  if (!handler.has_weights) return Damaged(path, "the index has no weight_map");
  for (const auto& [tensor, file] : handler.index.weight_map) {
    if (file.empty() || file.size() > kMaxFileName || file == "." || file == ".." ||
        absl::StrContains(file, '/') || std::any_of(file.begin(), file.end(), absl::ascii_iscntrl)) {
      return Damaged(
          path, absl::StrCat("tensor ", QuotedForError(tensor), " is said to be in ", QuotedForError(file),
                             ", which is no name of a file beside the index"));
    }
  }
  return std::move(handler.index);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenShardedSafetensors(std::unique_ptr<InputFile> file) {
  const std::string path = file->path();
  if (file->size() > kMaxSafetensorsIndex) {
    return Damaged(path, absl::StrCat("the index has ", file->size(), " bytes; at most ",
                                      kMaxSafetensorsIndex, " are read"));
  }
  std::string json(file->size(), '\0');
  RETURN_IF_ERROR(file->ReadAt(0, absl::MakeSpan(json)));
  ASSIGN_OR_RETURN(SafetensorsIndex index, ParseSafetensorsIndex(path, json));

  std::map<std::string, std::vector<std::string>> shards;  // the tensors by file
  for (const auto& [tensor, name] : index.weight_map) shards[name].push_back(tensor);
  ShardedFile::Shards opened;
  std::vector<FileArray> arrays;
  std::vector<std::pair<size_t, size_t>> origins;
  for (const auto& [name, tensors] : shards) {
    const std::string shard_path = (std::filesystem::path(path).parent_path() / name).string();
    absl::StatusOr<std::unique_ptr<InputFile>> shard_opened = InputFile::Open(shard_path);
    if (!shard_opened.ok()) {
      return absl::Status(shard_opened.status().code(),
                          absl::StrCat(path, ": ", shard_opened.status().message()));
    }
    std::unique_ptr<InputFile> shard_file = *std::move(shard_opened);
    ASSIGN_OR_RETURN(std::unique_ptr<ArrayFile> shard, OpenSafetensorsArrays(std::move(shard_file)));
    for (size_t i = 0; i < shard->arrays().size(); ++i) {
      const FileArray& array = shard->arrays()[i];
      const auto entry = index.weight_map.find(array.name);
      if (entry == index.weight_map.end()) {
        return Damaged(path,
                       absl::StrCat("it does not name tensor ", QuotedForError(array.name), " of ", name));
      }
      if (entry->second != name) {
        return Damaged(path, absl::StrCat("tensor ", QuotedForError(array.name), " is in ", name, ", not in ",
                                          entry->second));
      }
      arrays.push_back(array);
      origins.emplace_back(opened.size(), i);
      entry->second.clear();  // found
    }
    for (const std::string& tensor : tensors) {
      if (index.weight_map[tensor].empty()) continue;
      return Damaged(path, absl::StrCat("tensor ", QuotedForError(tensor), " is not in ", name));
    }
    index.metadata.insert(shard->metadata().begin(), shard->metadata().end());
    opened.push_back(std::move(shard));
  }
  return std::make_unique<ShardedFile>(std::move(opened), std::move(arrays), std::move(origins),
                                       std::move(index.metadata));
}

}  // namespace halftone
