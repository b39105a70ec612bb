#include "train/records/event_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

constexpr char kVersion[] = "brain.Event:2";

// TFRecord's: so that a checksum of data with checksums in it is not degenerate.
uint32_t Masked(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8;
}

void AppendLittleEndian(uint64_t value, int bytes, std::string& to) {
  for (int i = 0; i < bytes; ++i) to.push_back(static_cast<char>(value >> 8 * i & 0xff));
}

std::string Record(const std::string& data) {
  std::string record;
  AppendLittleEndian(data.size(), 8, record);
  AppendLittleEndian(Masked(record), 4, record);
  record += data;
  AppendLittleEndian(Masked(data), 4, record);
  return record;
}

// The positive limits, from 1e-12 by factors of 1.1 to 1e20.
const std::vector<double>& PositiveLimits() {
  static const auto* limits = [] {
    auto* made = new std::vector<double>;
    for (double v = 1e-12; v < 1e20; v *= 1.1) made->push_back(v);
    made->push_back(std::numeric_limits<double>::max());
    return made;
  }();
  return *limits;
}

}  // namespace

HistogramProto HistogramOf(absl::Span<const float> values) {
  const std::vector<double>& limits = PositiveLimits();
  // Of the negative numbers by magnitude, zeros, and the positive numbers.
  std::vector<double> below(limits.size()), above(limits.size());
  double zeros = 0;
  HistogramProto h;
  double min = std::numeric_limits<double>::infinity(), max = -min, num = 0, sum = 0, squares = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double v = value;
    min = std::min(min, v);
    max = std::max(max, v);
    ++num;
    sum += v;
    squares += v * v;
    if (v == 0) {
      ++zeros;
      continue;
    }
    const auto at = std::lower_bound(limits.begin(), limits.end(), std::abs(v)) - limits.begin();
    ++(v < 0 ? below : above)[static_cast<size_t>(at)];
  }
  if (num == 0) min = max = 0;
  h.set_min(min);
  h.set_max(max);
  h.set_num(num);
  h.set_sum(sum);
  h.set_sum_squares(squares);
  // Buckets from the first to the last that has something; a bucket of magnitudes up to limits[i] below zero
  // ends at -limits[i - 1].
  std::vector<std::pair<double, double>> buckets;  // limit, count
  for (size_t i = limits.size() - 1; i > 0; --i) buckets.push_back({-limits[i - 1], below[i]});
  buckets.push_back({0, below[0] + zeros});
  for (size_t i = 0; i < limits.size(); ++i) buckets.push_back({limits[i], above[i]});
  const auto has = [](const auto& b) { return b.second > 0; };
  auto first = std::find_if(buckets.begin(), buckets.end(), has);
  const auto last = std::find_if(buckets.rbegin(), buckets.rend(), has).base();
  if (first > buckets.begin() && first < last) --first;  // where the first bucket begins
  for (auto b = first; b < last; ++b) {
    h.add_bucket_limit(b->first);
    h.add_bucket(b->second);
  }
  if (h.bucket_size() == 0) {
    h.add_bucket_limit(0);
    h.add_bucket(0);
  }
  return h;
}

absl::StatusOr<EventFile> EventFile::Create(const std::string& folder, int64_t first_step) {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  // Of two in one second the later one's name sorts behind.
  std::string path;
  std::FILE* file = nullptr;
  for (int n = 0; file == nullptr; ++n) {
    path = absl::StrFormat("%s/events.out.tfevents.%010d.%s.%d.%d", folder, absl::ToUnixSeconds(absl::Now()),
                           host, getpid(), n);
    file = std::fopen(path.c_str(), "wx");
    if (file == nullptr && errno != EEXIST) return ErrnoError("create", path);
  }
  EventFile events(std::move(path), file);
  EventProto version;
  version.set_file_version(kVersion);
  RETURN_IF_ERROR(events.Write(std::move(version)));
  EventProto start;
  start.set_step(first_step);
  start.mutable_session_log()->set_status(SessionLogProto::START);
  RETURN_IF_ERROR(events.Write(std::move(start)));
  return events;
}

absl::Status EventFile::Write(EventProto event) {
  event.set_wall_time(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  const std::string record = Record(event.SerializeAsString());
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() ||
      std::fflush(file_.get()) != 0) {
    return ErrnoError("write", path_);
  }
  return absl::OkStatus();
}

absl::Status EventFile::Scalars(int64_t step, absl::Span<const Scalar> scalars) {
  EventProto event;
  event.set_step(step);
  for (const Scalar& s : scalars) {
    SummaryProto::Value* value = event.mutable_summary()->add_value();
    value->set_tag(s.tag);
    value->set_simple_value(static_cast<float>(s.value));
  }
  return Write(std::move(event));
}

absl::Status EventFile::Histogram(int64_t step, absl::string_view tag, absl::Span<const float> values) {
  EventProto event;
  event.set_step(step);
  SummaryProto::Value* value = event.mutable_summary()->add_value();
  value->set_tag(std::string(tag));
  *value->mutable_histo() = HistogramOf(values);
  return Write(std::move(event));
}

}  // namespace halftone
