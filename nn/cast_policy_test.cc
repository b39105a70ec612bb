#include "nn/cast_policy.h"

#include "gtest/gtest.h"

namespace halftone::nn {
namespace {

TEST(MatchesPathTest, StarsStandForAnyCharacters) {
  const struct {
    absl::string_view pattern, path;
    bool matches;
  } kCases[] = {{"layer4", "layer4", true},
                {"layer4", "layer4.0", false},
                {"layer4*", "layer4", true},
                {"layer4.*", "layer4.0.conv1", true},
                {"layer4.*", "layer4", false},
                {"*", "", true},
                {"*", "a.b", true},
                {"", "", true},
                {"", "a", false},
                {"*.bn1", "layer1.0.bn1", true},
                {"*.bn1", "layer1.0.bn10", false},
                {"a*b*c", "a.b.b.c", true},
                {"a*b*c", "a.b.b.d", false},
                {"**a", "a", true},
                {"a?c", "abc", false},
                {"a.c", "abc", false},
                {"*ab", "aab", true},
                {"*aab*aab", "aabaaab", true}};
  for (const auto& c : kCases)
    EXPECT_EQ(MatchesPath(c.pattern, c.path), c.matches) << c.pattern << " " << c.path;
}

}  // namespace
}  // namespace halftone::nn
