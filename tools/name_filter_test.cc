#include "tools/name_filter.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

bool Matches(absl::string_view include, absl::string_view exclude, absl::string_view name) {
  const absl::StatusOr<NameFilter> filter = NameFilter::Create(include, exclude);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return filter.ok() && filter->Matches(name);
}

TEST(NameFilterTest, WithoutPatternsEverythingMatches) {
  EXPECT_TRUE(Matches("", "", "conv1.weight"));
  EXPECT_TRUE(Matches("", "", ""));
  EXPECT_TRUE(NameFilter().Matches("anything"));
}

TEST(NameFilterTest, SearchesAsGrepDoes) {
  EXPECT_TRUE(Matches("weight", "", "conv1.weight.0"));
  EXPECT_FALSE(Matches("^weight", "", "conv1.weight"));
  EXPECT_TRUE(Matches("^(conv|fc)[0-9]+\\.", "", "fc10.bias"));
  EXPECT_FALSE(Matches("Weight", "", "conv1.weight"));
  EXPECT_TRUE(Matches("^$", "", ""));
}

TEST(NameFilterTest, ExcludeWins) {
  EXPECT_FALSE(Matches("", "bias$", "fc.bias"));
  EXPECT_TRUE(Matches("", "bias$", "fc.bias_scale"));
  EXPECT_FALSE(Matches("fc", "bias", "fc.bias"));
  EXPECT_TRUE(Matches("fc", "bias", "fc.weight"));
}

TEST(NameFilterTest, NamesMayHoldAnything) {
  EXPECT_TRUE(Matches("b$", "", absl::string_view("a\0b", 3)));
  EXPECT_FALSE(Matches("b", "", absl::string_view("ab").substr(0, 1)));
  EXPECT_TRUE(Matches("x$", "", std::string(100'000, 'a') + "x"));
}

TEST(NameFilterTest, ABadPatternIsOneLineThatNamesTheFlag) {
  const absl::Status include = NameFilter::Create("(weight", "").status();
  EXPECT_EQ(include.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(
      absl::StartsWith(include.message(), "--include=(weight is not a POSIX extended regular expression: "))
      << include;
  const absl::Status exclude = NameFilter::Create("", "[z-a]").status();
  EXPECT_TRUE(absl::StartsWith(exclude.message(), "--exclude=[z-a] is not")) << exclude;
  const absl::Status longer = NameFilter::Create(std::string(2000, 'a'), "").status();
  EXPECT_LT(longer.message().size(), 300u);
  EXPECT_FALSE(longer.ok());
}

// Twice the same filter, one gone: its patterns stay.
TEST(NameFilterTest, Copies) {
  absl::StatusOr<NameFilter> filter = NameFilter::Create("a", "b");
  ASSERT_TRUE(filter.ok());
  const NameFilter copy = *filter;
  filter = absl::UnknownError("gone");
  EXPECT_TRUE(copy.Matches("a"));
  EXPECT_FALSE(copy.Matches("ab"));
}

}  // namespace
}  // namespace halftone
