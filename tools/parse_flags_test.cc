#include "tools/parse_flags.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(int64_t, count, 0, "");
ABSL_FLAG(bool, loud, true, "");

namespace halftone {
namespace {

using ::testing::ElementsAre;

absl::StatusOr<std::vector<std::string>> Parse(std::vector<std::string> arguments) {
  std::vector<char*> argv = {const_cast<char*>("tool")};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const auto rest = ParseFlags("tool", static_cast<int>(arguments.size()) + 1, argv.data());
  if (!rest.ok()) return rest.status();
  return std::vector<std::string>(rest->begin() + 1, rest->end());
}

TEST(ParseFlagsTest, SetsFlagsAndReturnsTheRest) {
  const auto rest = Parse({"a", "--count", "-3", "--noloud", "-", "--", "--b"});
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_THAT(*rest, ElementsAre("a", "-", "--b"));
  EXPECT_EQ(absl::GetFlag(FLAGS_count), -3);
  EXPECT_FALSE(absl::GetFlag(FLAGS_loud));
}

TEST(ParseFlagsTest, RefusesUnknownFlags) {
  for (const char* argument : {"--cuont=3", "--cuont", "-cuont"}) {
    EXPECT_EQ(Parse({"a", argument}).status(),
              absl::InvalidArgumentError("unknown flag --cuont; tool --help lists the flags"));
  }
  EXPECT_FALSE(Parse({"--nocount"}).ok());
}

TEST(ParseFlagsTest, HelpListsTheFlagsAndEndsWell) {
  EXPECT_EXIT((void)Parse({"--help"}), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace halftone
