#include "base/cpu.h"

#include <cpuid.h>
#include <omp.h>

#include <cstring>

namespace halftone {
namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers CpuId(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}

bool Bit(unsigned word, int bit) { return (word >> bit) & 1; }

std::string ModelName() {
  char name[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    const Registers r = CpuId(0x80000002u + i);
    std::memcpy(name + 16 * i, &r, 16);
  }
  std::string text = name;
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "unknown CPU";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

CpuFeatures DetectCpuFeatures() {
  // Bits as in the Intel 64 manual, volume 2A, CPUID.
  const Registers seven = CpuId(7), seven1 = CpuId(7, 1);
  CpuFeatures f;
  f.avx2 = Bit(seven.b, 5);
  f.avx512 = Bit(seven.b, 16) && Bit(seven.b, 17) && Bit(seven.b, 30) && Bit(seven.b, 31);
  f.avx512_bf16 = Bit(seven1.a, 5);
  f.avx512_fp16 = Bit(seven.d, 23);
  f.amx_bf16 = Bit(seven.d, 22);
  f.amx_fp16 = Bit(seven1.a, 21);
  return f;
}

std::string DescribeCpu() {
  const CpuFeatures f = DetectCpuFeatures();
  std::string text = ModelName() + ", " + std::to_string(omp_get_num_procs()) + " cores,";
  if (f.avx2) text += " AVX2";
  if (f.avx512) text += " AVX512";
  if (f.avx512_bf16) text += " AVX512-BF16";
  if (f.avx512_fp16) text += " AVX512-FP16";
  if (f.amx_bf16) text += " AMX-BF16";
  if (f.amx_fp16) text += " AMX-FP16";
  return text;
}

}  // namespace halftone
