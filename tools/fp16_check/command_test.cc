#include "tools/fp16_check/command.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quant/formats.h"
#include "quant/quant_format.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<Command> Parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "fp16_check");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return ParseCommand(static_cast<int>(arguments.size()), argv.data());
}

std::vector<std::string> Names(const std::vector<QuantFormat>& formats) {
  std::vector<std::string> names;
  for (const QuantFormat& format : formats) names.emplace_back(NameOf(format));
  return names;
}

void ExpectRefused(const std::vector<std::string>& arguments, const std::string& message) {
  const absl::Status status = Parse(arguments).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
}

TEST(CommandTest, Defaults) {
  const absl::StatusOr<Command> command = Parse({"a.npy", "-"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_THAT(command->files, ElementsAre("a.npy", "-"));
  EXPECT_THAT(Names(command->check.formats), ElementsAre("float16"));
  EXPECT_EQ(command->check.limits.max_overflows, 0u);
  EXPECT_EQ(command->check.limits.max_underflow_fraction, 0.01);
  EXPECT_EQ(command->check.limits.min_sqnr_db, 20);
  EXPECT_FALSE(command->check.limits.allow_infinities);
  EXPECT_FALSE(command->check.integers);
  EXPECT_EQ(command->top, 0u);
  EXPECT_FALSE(command->open.raw_type.has_value());
}

TEST(CommandTest, FlagsAnywhereInBothForms) {
  const absl::StatusOr<Command> command = Parse(
      {"--max_overflow", "3", "a", "--max_underflow_fraction=0.5", "--min_sqnr_db=40", "--allow_infinities",
       "--integers", "b", "--top=7", "--json=r.json", "--html", "r.html", "--tensor=^w", "--exclude=b$"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_THAT(command->files, ElementsAre("a", "b"));
  EXPECT_EQ(command->check.limits.max_overflows, 3u);
  EXPECT_EQ(command->check.limits.max_underflow_fraction, 0.5);
  EXPECT_EQ(command->check.limits.min_sqnr_db, 40);
  EXPECT_TRUE(command->check.limits.allow_infinities);
  EXPECT_TRUE(command->check.integers);
  EXPECT_EQ(command->top, 7u);
  EXPECT_EQ(command->json, "r.json");
  EXPECT_EQ(command->html, "r.html");
  EXPECT_TRUE(command->check.names.Matches("weight"));
  EXPECT_FALSE(command->check.names.Matches("web"));
}

TEST(CommandTest, WhatFollowsTwoDashesAreFiles) {
  const absl::StatusOr<Command> command = Parse({"--", "--help", "-x"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_THAT(command->files, ElementsAre("--help", "-x"));
}

TEST(CommandTest, Help) {
  EXPECT_TRUE(Parse({"--help"})->help);
  EXPECT_THAT(std::string(CommandUsage()), HasSubstr("--max_underflow_fraction"));
}

TEST(CommandTest, ListsOfFormats) {
  EXPECT_THAT(Names(Parse({"f", "--format=half, bf16,e4m3", "--format=e5m2,fp16"})->check.formats),
              ElementsAre("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"));
  EXPECT_THAT(Names(Parse({"f", "--format=mxfp4,e4m3,mxfp8_e4m3,int4,fp4,int8_affine,nvfp4"})->check.formats),
              ElementsAre("mxfp4", "float8_e4m3fn", "mxfp8", "int4", "fp4", "int8_affine", "nvfp4"));
  const std::vector<QuantFormat> all = Parse({"f", "--format=all"})->check.formats;
  size_t every = kIntegerFormats.size() + kBlockFormats.size() + kCodebookFormats.size();
  for (const FloatFormat& format : kFloatFormats) every += format.has_sign;
  EXPECT_EQ(all.size(), every);
  EXPECT_THAT(Names(Parse({"f", "--format=bf16,all"})->check.formats)[0], "bfloat16");
}

TEST(CommandTest, RawFiles) {
  for (const char* shape : {"--shape=2x3", "--shape=2,3", "--shape=[2, 3]"}) {
    const absl::StatusOr<Command> command = Parse({"f", "--dtype=float32", shape});
    ASSERT_TRUE(command.ok()) << command.status();
    EXPECT_EQ(command->open.raw_type, ElementType::kF32);
    EXPECT_EQ(command->open.raw_shape, Shape({2, 3}));
  }
  EXPECT_EQ(Parse({"f", "--dtype=uint8", "--shape=5"})->open.raw_shape, Shape({5}));
  EXPECT_EQ(Parse({"f", "--dtype=uint8", "--shape=[]"})->open.raw_shape, Shape());
  EXPECT_FALSE(Parse({"f", "--dtype=uint8"})->open.raw_shape.has_value());
}

TEST(CommandTest, MistakesAreOneLine) {
  ExpectRefused({}, "no file is named");
  ExpectRefused({"f", "--fromat=half"}, "unknown flag or no value: --fromat=half");
  ExpectRefused({"f", "--top"}, "unknown flag or no value: --top");
  ExpectRefused({"f", "--format=fp17"}, "--format: unknown format 'fp17'; known: float16, bfloat16");
  ExpectRefused({"f", "--format=mxfp5"},
                "int2_affine, mxfp8, mxfp8_e5m2, mxfp6, mxfp6_e3m2, mxfp4, mxint8, nvfp4, fp2");
  ExpectRefused({"f", "--format=e8m0"}, "--format=e8m0: expected a format with a sign");
  ExpectRefused({"f", "--format="}, "--format: unknown format ''");
  ExpectRefused({"f", "--tensor=("}, "--tensor=( is not a POSIX extended regular expression");
  ExpectRefused({"f", "--exclude=("}, "--exclude=( is not a POSIX extended regular expression");
  ExpectRefused({"f", "--max_overflow=-1"}, "--max_overflow=-1: expected a whole number");
  ExpectRefused({"f", "--max_overflow=1.5"}, "--max_overflow=1.5: expected a whole number");
  for (const std::string bad : {"-0.1", "1.1", "nan", "inf", "x", ""}) {
    ExpectRefused({"f", "--max_underflow_fraction=" + bad},
                  "--max_underflow_fraction=" + bad + ": expected a fraction");
  }
  for (const std::string bad : {"-1", "nan", "inf", "x", ""}) {
    ExpectRefused({"f", "--min_sqnr_db=" + bad}, "--min_sqnr_db=" + bad + ": expected decibels");
  }
  ExpectRefused({"f", "--top=-1"}, "--top=-1: expected a whole number");
  ExpectRefused({"f", "--dtype=float17"}, "--dtype=float17: expected one of float64, float32");
  ExpectRefused({"f", "--shape=2x3"}, "--shape=2x3: expected --dtype beside it");
  for (const std::string bad : {"2x", "x2", "2x-3", "2xy", "[2", "2]", "1.5", "2  3"}) {
    ExpectRefused({"f", "--dtype=uint8", "--shape=" + bad},
                  "--shape=" + bad + ": expected sizes such as 2x3");
  }
  ExpectRefused({"f", "--dtype=float64", "--shape=4294967296x4294967296"}, "less than 2^63 bytes");
  ExpectRefused({"-", "-"}, "- is named twice");
  ExpectRefused({"f", "--json=x", "--html=x"}, "name the same file");
}

}  // namespace
}  // namespace halftone
