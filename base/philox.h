// Counter-based random numbers: Philox4x32-10.
//
// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//
// A number is a pure function of (seed, step, stream, index), so it does not depend on the number of
// threads, on the order of calls, or on how a tensor is split:
//
//   const Rng rng = Rng(seed).AtStep(step).Stream(HashStream("layer1.dropout"));
//   uint32_t bits = rng.Bits(i);      // the i-th number of the stream
//   float u = rng.Uniform(i);         // in [0, 1)
//   float z = rng.Normal(i);          // standard normal
#ifndef HALFTONE_BASE_PHILOX_H_
#define HALFTONE_BASE_PHILOX_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace halftone {

using PhiloxBlock = std::array<uint32_t, 4>;

// Ten rounds of Philox4x32 on a counter, under a 64-bit key.
constexpr PhiloxBlock Philox4x32(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(p0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// A stream's number from its name (FNV-1a): the same on every machine.
constexpr uint32_t HashStream(std::string_view name) {
  uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

// A value: copying is free, and nothing about it changes when a number is drawn.
class Rng {
 public:
  constexpr explicit Rng(uint64_t seed) : seed_(seed) {}

  // step: at most 2^32 - 1.
  constexpr Rng AtStep(uint64_t step) const { return Rng(seed_, static_cast<uint32_t>(step), stream_); }
  constexpr Rng Stream(uint32_t stream) const { return Rng(seed_, step_, stream); }
  // A stream within this stream: for the parts of something that already has a stream.
  constexpr Rng Substream(uint32_t part) const {
    return Rng(seed_, step_, (stream_ ^ part) * 16777619u + (part ^ 0x9E3779B9u));
  }

  // Numbers 4*block .. 4*block + 3 of the stream; block < 2^64.
  constexpr PhiloxBlock Block(uint64_t block) const {
    return Philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), step_, stream_},
                      static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32));
  }

  constexpr uint32_t Bits(uint64_t index) const { return Block(index / 4)[index % 4]; }
  // bits[i] = Bits(first + i) for all i < n, in SIMD: many times as fast as one by one.
  void Fill(uint64_t first, uint32_t* bits, size_t n) const;
  // In [0, 1), a multiple of 2^-24.
  constexpr float Uniform(uint64_t index) const { return ToUniform(Bits(index)); }
  static constexpr float ToUniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }
  // In [0, n), by multiply-shift: a bias below n / 2^32.
  constexpr uint32_t Below(uint64_t index, uint32_t n) const {
    return static_cast<uint32_t>((uint64_t{Bits(index)} * n) >> 32);
  }
  // Box-Muller; each number uses a block of its own.
  float Normal(uint64_t index) const {
    const PhiloxBlock b = Block(index);
    const double u = (b[0] + 1.0) * 0x1p-32;  // (0, 1]
    const double v = b[1] * 0x1p-32;
    return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * 3.14159265358979323846 * v));
  }

 private:
  constexpr Rng(uint64_t seed, uint32_t step, uint32_t stream) : seed_(seed), step_(step), stream_(stream) {}

  uint64_t seed_;
  uint32_t step_ = 0;
  uint32_t stream_ = 0;
};

}  // namespace halftone

#endif  // HALFTONE_BASE_PHILOX_H_
