// Target attributes on functions, not flags on the file: flags would also compile the inline functions of
// standard headers for AVX2, and the linker may keep that copy for the whole program.
#include "collective/reduce_avx2.hpp"

#include <cstdint>
#include <cstring>

#include "collective/numbers.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define TROUPE_AVX2 __attribute__((target("avx2,f16c"), always_inline)) inline
#define TROUPE_AVX2_ENTRY __attribute__((target("avx2,f16c")))

namespace troupe::comm::collective {
namespace {

constexpr std::size_t width = 8;  // elements of every vector below

template <class Number>
struct Vector;

struct FloatVector {
  using Value = __m256;
  template <Op op>
  TROUPE_AVX2 static Value combine(Value a, Value b) noexcept {
    if constexpr (op == Op::sum) return _mm256_add_ps(a, b);
    if constexpr (op == Op::min) return _mm256_min_ps(a, b);
    if constexpr (op == Op::max) return _mm256_max_ps(a, b);
  }
};

template <>
struct Vector<F32> : FloatVector {
  TROUPE_AVX2 static Value load(const float* from) noexcept { return _mm256_loadu_ps(from); }
  TROUPE_AVX2 static void store(float* to, Value value) noexcept { _mm256_storeu_ps(to, value); }
  TROUPE_AVX2 static void stream(float* to, Value value) noexcept { _mm256_stream_ps(to, value); }
};

struct HalfVector : FloatVector {
  TROUPE_AVX2 static __m128i bits(const std::uint16_t* from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  TROUPE_AVX2 static void put(std::uint16_t* to, __m128i value) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
  TROUPE_AVX2 static void put_streaming(std::uint16_t* to, __m128i value) noexcept {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to), value);
  }
};

template <>
struct Vector<F16> : HalfVector {
  TROUPE_AVX2 static Value load(const std::uint16_t* from) noexcept { return _mm256_cvtph_ps(bits(from)); }
  TROUPE_AVX2 static __m128i pack(Value value) noexcept {
    return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  TROUPE_AVX2 static void store(std::uint16_t* to, Value value) noexcept { put(to, pack(value)); }
  TROUPE_AVX2 static void stream(std::uint16_t* to, Value value) noexcept { put_streaming(to, pack(value)); }
};

template <>
struct Vector<Bf16> : HalfVector {
  TROUPE_AVX2 static Value load(const std::uint16_t* from) noexcept {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits(from)), 16));
  }
  TROUPE_AVX2 static __m128i pack(Value value) noexcept {
    const __m256i raw = _mm256_castps_si256(value);
    const __m256i top = _mm256_srli_epi32(raw, 16);
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_srli_epi32(_mm256_add_epi32(raw, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    const __m256i words = _mm256_blendv_epi8(rounded, quiet, nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  }
  TROUPE_AVX2 static void store(std::uint16_t* to, Value value) noexcept { put(to, pack(value)); }
  TROUPE_AVX2 static void stream(std::uint16_t* to, Value value) noexcept { put_streaming(to, pack(value)); }
};

template <>
struct Vector<I32> {
  using Value = __m256i;
  template <Op op>
  TROUPE_AVX2 static Value combine(Value a, Value b) noexcept {
    if constexpr (op == Op::sum) return _mm256_add_epi32(a, b);
    if constexpr (op == Op::min) return _mm256_min_epi32(a, b);
    if constexpr (op == Op::max) return _mm256_max_epi32(a, b);
  }
  TROUPE_AVX2 static Value load(const std::int32_t* from) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  TROUPE_AVX2 static void store(std::int32_t* to, Value value) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  TROUPE_AVX2 static void stream(std::int32_t* to, Value value) noexcept {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), value);
  }
};

/// All sources in registers at once: -O2 must be told to unroll, or the values live on the stack (5 times
/// slower). `from` and `to` are copies in local arrays of known length, so that the compiler need not reload
/// the pointers after every store.
template <class Number, Op op, std::size_t sources, std::size_t targets, bool streaming>
TROUPE_AVX2_ENTRY void in_registers(const Reduction& reduction, std::size_t first,
                                    std::size_t last) noexcept {
  using V = Vector<Number>;
  using Stored = typename Number::Stored;
  constexpr std::size_t unroll = 2;
  const Stored* from[sources];
  Stored* to[targets];
  for (std::size_t s = 0; s < sources; ++s) from[s] = static_cast<const Stored*>(reduction.sources[s]);
  for (std::size_t t = 0; t < targets; ++t) to[t] = static_cast<Stored*>(reduction.targets[t]);
  for (std::size_t at = first; at < last; at += unroll * width) {
    typename V::Value value[unroll];
#pragma GCC unroll 8
    for (std::size_t u = 0; u < unroll; ++u) value[u] = V::load(from[0] + at + u * width);
#pragma GCC unroll 8
    for (std::size_t s = 1; s < sources; ++s) {
#pragma GCC unroll 8
      for (std::size_t u = 0; u < unroll; ++u) {
        value[u] = V::template combine<op>(value[u], V::load(from[s] + at + u * width));
      }
    }
#pragma GCC unroll 8
    for (std::size_t t = 0; t < targets; ++t) {
#pragma GCC unroll 8
      for (std::size_t u = 0; u < unroll; ++u) {
        if constexpr (streaming) {
          V::stream(to[t] + at + u * width, value[u]);
        } else {
          V::store(to[t] + at + u * width, value[u]);
        }
      }
    }
  }
}

/// Any number of sources: accumulators of one block stay in the first cache level.
template <class Number, Op op, bool streaming>
TROUPE_AVX2_ENTRY void in_blocks(const Reduction& reduction, std::size_t first, std::size_t last) noexcept {
  using V = Vector<Number>;
  using Stored = typename Number::Stored;
  constexpr std::size_t block = 512;
  typename V::Value value[block / width];
  for (std::size_t at = first; at < last; at += block) {
    const std::size_t vectors = (last - at < block ? last - at : block) / width;
    const auto* source = static_cast<const Stored*>(reduction.sources[0]) + at;
    for (std::size_t v = 0; v < vectors; ++v) value[v] = V::load(source + v * width);
    for (std::size_t s = 1; s < reduction.n_sources; ++s) {
      source = static_cast<const Stored*>(reduction.sources[s]) + at;
      for (std::size_t v = 0; v < vectors; ++v) {
        value[v] = V::template combine<op>(value[v], V::load(source + v * width));
      }
    }
    for (std::size_t t = 0; t < reduction.n_targets; ++t) {
      auto* target = static_cast<Stored*>(reduction.targets[t]) + at;
      for (std::size_t v = 0; v < vectors; ++v) {
        if constexpr (streaming) {
          V::stream(target + v * width, value[v]);
        } else {
          V::store(target + v * width, value[v]);
        }
      }
    }
  }
}

template <class Number, Op op, bool streaming>
void pick(const Reduction& reduction, std::size_t first, std::size_t last) noexcept {
  const std::size_t s = reduction.n_sources;
  const std::size_t t = reduction.n_targets;
  if (s == 2 && t == 1) return in_registers<Number, op, 2, 1, streaming>(reduction, first, last);
  if (s == 2 && t == 2) return in_registers<Number, op, 2, 2, streaming>(reduction, first, last);
  if (s == 4 && t == 1) return in_registers<Number, op, 4, 1, streaming>(reduction, first, last);
  if (s == 4 && t == 4) return in_registers<Number, op, 4, 4, streaming>(reduction, first, last);
  in_blocks<Number, op, streaming>(reduction, first, last);
}

/// Elements before every target is 32-byte aligned, or `count` when they never are together.
std::size_t elements_to_alignment(const Reduction& reduction, std::size_t element_size) noexcept {
  const auto misaligned = [&](std::size_t t) {
    return reinterpret_cast<std::uintptr_t>(reduction.targets[t]) % 32;
  };
  const std::size_t off = misaligned(0);
  for (std::size_t t = 1; t < reduction.n_targets; ++t) {
    if (misaligned(t) != off) return reduction.count;
  }
  if (off % element_size != 0) return reduction.count;
  return (32 - off) % 32 / element_size;
}

}  // namespace

bool have_avx2() noexcept {
  // Asked once: on a virtual machine cpuid is an exit to the host, some µs.
  static const bool have = [] {
    unsigned a = 0, b = 0, features = 0, d = 0;  // not every compiler's builtin knows f16c
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &features, &d) != 0 &&
           (features & bit_F16C) != 0;
  }();
  return have;
}

void reduce_avx2(const Reduction& reduction) noexcept {
  constexpr std::size_t chunk = 2 * width;
  with_number(reduction.dtype, reduction.op, [&]<class Number, Op op>() {
    std::size_t first = 0;
    bool streaming = reduction.streaming && reduction.n_targets != 0;
    if (streaming) {
      const std::size_t head = elements_to_alignment(reduction, sizeof(typename Number::Stored));
      streaming = head + chunk <= reduction.count;
      if (streaming && head != 0) reduce_range<Number, op>(reduction, 0, first = head);
    }
    const std::size_t last = first + (reduction.count - first) / chunk * chunk;
    if (streaming) {
      pick<Number, op, true>(reduction, first, last);
      _mm_sfence();  // before the caller tells anybody
    } else if (first != last) {
      pick<Number, op, false>(reduction, first, last);
    }
    if (last != reduction.count) reduce_range<Number, op>(reduction, last, reduction.count);
  });
}

TROUPE_AVX2_ENTRY void copy_avx2(void* target, const void* source, std::size_t bytes) noexcept {
  auto* to = static_cast<std::byte*>(target);
  const auto* from = static_cast<const std::byte*>(source);
  const std::size_t head = (32 - reinterpret_cast<std::uintptr_t>(to) % 32) % 32;
  if (bytes < head + 128) {
    std::memcpy(to, from, bytes);
    return;
  }
  std::memcpy(to, from, head);
  std::size_t at = head;
  for (; at + 128 <= bytes; at += 128) {
    __m256i value[4];
#pragma GCC unroll 4
    for (std::size_t u = 0; u < 4; ++u) {
      value[u] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at + 32 * u));
    }
#pragma GCC unroll 4
    for (std::size_t u = 0; u < 4; ++u) {
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at + 32 * u), value[u]);
    }
  }
  _mm_sfence();
  std::memcpy(to + at, from + at, bytes - at);
}

}  // namespace troupe::comm::collective

#else

namespace troupe::comm::collective {
bool have_avx2() noexcept { return false; }
void reduce_avx2(const Reduction& reduction) noexcept { reduce_portable(reduction); }
void copy_avx2(void* target, const void* source, std::size_t bytes) noexcept {
  std::memcpy(target, source, bytes);
}
}  // namespace troupe::comm::collective

#endif
