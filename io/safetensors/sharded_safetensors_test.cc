#include "io/safetensors/sharded_safetensors.h"

#include <filesystem>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/open_array_file.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// A file of uint8 vectors.
std::string Shard(const std::map<std::string, std::string>& arrays, absl::string_view writer) {
  std::string header = absl::StrCat("{\"__metadata__\":{\"writer\":\"", writer, "\"}"), data;
  for (const auto& [name, bytes] : arrays) {
    absl::StrAppend(&header, ",\"", name, "\":{\"dtype\":\"U8\",\"shape\":[", bytes.size(),
                    "],\"data_offsets\":[", data.size(), ",", data.size() + bytes.size(), "]}");
    data += bytes;
  }
  header += "}";
  return absl::StrCat(LittleEndian(header.size(), 8), header, data);
}

// Two files and this index; the index's path.
std::string Sharded(absl::string_view index) {
  std::filesystem::create_directory(TempPath("model"));
  TempFile("model/one.safetensors", Shard({{"a", "\1\2"}, {"b", "\3"}}, "first"));
  TempFile("model/two.safetensors", Shard({{"c", "\4\5\6"}}, "second"));
  return TempFile("model/m.safetensors.index.json", index);
}

constexpr char kIndex[] =
    R"({"metadata": {"total_size": 6, "name": "m", "half": 0.5},
        "weight_map": {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}})";

TEST(ShardedSafetensorsTest, TheFilesTogether) {
  const auto opened = OpenArrayFile(Sharded(kIndex));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const ArrayFile& file = **opened;
  EXPECT_EQ(file.format(), "safetensors-index");
  EXPECT_TRUE(file.random_access());
  ASSERT_EQ(file.arrays().size(), 3u);
  EXPECT_EQ(file.arrays()[0].name, "a");
  EXPECT_THAT(Values(file, 0), ElementsAre(1, 2));
  EXPECT_EQ(file.arrays()[1].name, "b");
  EXPECT_THAT(Values(file, 1), ElementsAre(3));
  EXPECT_EQ(file.arrays()[2].name, "c");
  EXPECT_THAT(Values(file, 2), ElementsAre(4, 5, 6));
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("half", "0.5"), Pair("name", "m"), Pair("total_size", "6"),
                                           Pair("writer", "first")));
}

std::string Message(absl::string_view index) {
  const std::string path = Sharded(index);
  const absl::Status status = ReadAll(path);
  EXPECT_FALSE(status.ok()) << index;
  ExpectOneLine(status, std::filesystem::path(path).parent_path().string());
  return std::string(status.message());
}

std::string WeightMap(const std::map<std::string, std::string>& weights) {
  return absl::StrCat("{\"weight_map\":{",
                      absl::StrJoin(weights, ",",
                                    [](std::string* out, const auto& w) {
                                      absl::StrAppend(out, "\"", w.first, "\":\"", w.second, "\"");
                                    }),
                      "}}");
}

TEST(ShardedSafetensorsTest, NamesMustAgree) {
  const std::string one = "one.safetensors", two = "two.safetensors";
  EXPECT_THAT(Message(WeightMap({{"a", one}, {"c", two}})),
              HasSubstr("does not name tensor \"b\" of one.safetensors"));
  EXPECT_THAT(Message(WeightMap({{"a", one}, {"b", one}, {"c", two}, {"d", two}})),
              HasSubstr("tensor \"d\" is not in two.safetensors"));
  EXPECT_THAT(Message(WeightMap({{"a", one}, {"b", two}, {"c", two}})),
              HasSubstr("tensor \"b\" is in one.safetensors, not in two.safetensors"));
  EXPECT_THAT(Message(WeightMap({{"a", "three.safetensors"}})), HasSubstr("three.safetensors"));
}

TEST(ShardedSafetensorsTest, FilesLieBesideTheIndex) {
  for (const char* name : {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ".", ""}) {
    EXPECT_THAT(Message(WeightMap({{"a", name}})), HasSubstr("no name of a file beside the index"));
  }
}

TEST(ShardedSafetensorsTest, WhatIsNoIndex) {
  EXPECT_THAT(Message(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(Message("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Message("{}"), HasSubstr("the index has no weight_map"));
  EXPECT_THAT(Message("{\"weight_map\":{\"a\":1}}"), HasSubstr("gives tensor \"a\" something other than"));
  EXPECT_THAT(Message("{\"weight_map\":{\"a\":{}}}"), HasSubstr("gives tensor \"a\" something other than"));
  EXPECT_THAT(Message("{\"weight_map\":{\"a\":\"x\",\"a\":\"x\"}}"), HasSubstr("\"a\" comes twice"));
  EXPECT_THAT(Message("{\"weight_map\":{},\"weight_map\":{}}"), HasSubstr("\"weight_map\" comes twice"));
  EXPECT_THAT(Message("{\"other\":[]}"), HasSubstr("the index's value of \"other\""));
  EXPECT_THAT(Message(std::string(1 << 20, '[')), HasSubstr("not a JSON object"));
  EXPECT_THAT(Message(std::string("{\"weight_map\":{}}\0x", 19)), HasSubstr("not valid JSON at its byte 18"));
}

TEST(ShardedSafetensorsTest, CutsAndFlips) {
  TempFile("one.safetensors", Shard({{"a", "\1\2"}, {"b", "\3"}}, "first"));
  TempFile("two.safetensors", Shard({{"c", "\4\5\6"}}, "second"));
  EXPECT_TRUE(ReadAll(TempFile("whole.safetensors.index.json", kIndex)).ok());
  ExpectEveryCutRefused("cut.safetensors.index.json", kIndex);
  ExpectNoFlipCrashes("flipped.safetensors.index.json", kIndex);
}

}  // namespace
}  // namespace halftone
