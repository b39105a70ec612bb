#include "train/records/event_file.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>
#include <vector>

#include "base/crc32c.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

uint32_t Word(const std::string& bytes, size_t at) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

uint32_t Mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

// Every record of a file, its checksums checked.
std::vector<EventProto> ReadEvents(const std::string& path) {
  const std::string bytes = ReadFile(path).value();
  std::vector<EventProto> events;
  for (size_t at = 0; at < bytes.size();) {
    const uint32_t length = Word(bytes, at);
    EXPECT_EQ(Word(bytes, at + 4), 0u);
    EXPECT_EQ(Word(bytes, at + 8), Mask(Crc32c(std::string_view(bytes).substr(at, 8))));
    const std::string data = bytes.substr(at + 12, length);
    EXPECT_EQ(Word(bytes, at + 12 + length), Mask(Crc32c(data)));
    EXPECT_TRUE(events.emplace_back().ParseFromString(data));
    at += 16 + length;
  }
  return events;
}

std::string Folder() {
  const std::string folder =
      ::testing::TempDir() + "/event_file_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

TEST(EventFileTest, WritesRecordsThatTensorBoardReads) {
  EventFile file = EventFile::Create(Folder(), 40).value();
  ASSERT_TRUE(file.Scalars(50, {{"loss/train", 1.5}, {"lr", 0.25}}).ok());
  ASSERT_TRUE(file.Histogram(60, "weights/fc", std::vector<float>{1, 2}).ok());
  const std::vector<EventProto> events = ReadEvents(file.path());
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].session_log().status(), SessionLogProto::START);
  EXPECT_EQ(events[1].step(), 40);
  EXPECT_EQ(events[2].step(), 50);
  EXPECT_GT(events[2].wall_time(), 1.6e9);
  ASSERT_EQ(events[2].summary().value_size(), 2);
  EXPECT_EQ(events[2].summary().value(0).tag(), "loss/train");
  EXPECT_EQ(events[2].summary().value(0).simple_value(), 1.5f);
  EXPECT_EQ(events[3].summary().value(0).histo().num(), 2);
}

TEST(EventFileTest, TwoFilesOfOneSecondAreTwo) {
  const std::string folder = Folder();
  const EventFile a = EventFile::Create(folder, 0).value(), b = EventFile::Create(folder, 0).value();
  EXPECT_LT(a.path(), b.path());
}

TEST(EventFileTest, AFolderThatIsNotThereIsAnError) {
  const absl::Status status = EventFile::Create(Folder() + "/none", 0).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/none/events"), std::string::npos) << status;
}

TEST(HistogramTest, CountsEveryFiniteNumberInItsBucket) {
  std::vector<float> x = {0, 0, -1, 1, 1e-20f, -1e-20f, 3e25f, std::numeric_limits<float>::infinity(), NAN};
  for (int i = -100; i <= 100; ++i) x.push_back(static_cast<float>(i) * 0.37f);
  const HistogramProto h = HistogramOf(x);
  EXPECT_EQ(h.num(), static_cast<double>(x.size() - 2));
  EXPECT_EQ(h.min(), -37.0f);
  EXPECT_EQ(h.max(), 3e25f);
  EXPECT_EQ(std::accumulate(h.bucket().begin(), h.bucket().end(), 0.0), h.num());
  ASSERT_EQ(h.bucket_size(), h.bucket_limit_size());
  double lower = -std::numeric_limits<double>::infinity();
  for (int i = 0; i < h.bucket_size(); ++i) {
    ASSERT_GT(h.bucket_limit(i), lower);
    // A number on a border may be in either bucket.
    double least = 0, most = 0;
    for (const float v : x) {
      least += v > lower && v < h.bucket_limit(i);
      most += v >= lower && v <= h.bucket_limit(i);
    }
    EXPECT_GE(h.bucket(i), least) << i;
    EXPECT_LE(h.bucket(i), most) << i;
    lower = h.bucket_limit(i);
  }
}

TEST(HistogramTest, OfNothing) {
  const HistogramProto h = HistogramOf(std::vector<float>{NAN});
  EXPECT_EQ(h.num(), 0);
  EXPECT_EQ(h.min(), 0);
  EXPECT_EQ(h.bucket_size(), 1);
}

}  // namespace
}  // namespace halftone
