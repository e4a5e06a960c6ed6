#include "collective/reduce.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "collective/algorithms.hpp"
#include "collective/reduce_avx2.hpp"
#include "comm/collective_golden.hpp"
#include "support/random.hpp"

namespace troupe::comm::test {
namespace {

using collective::Op;
using collective::Reduction;

constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::i32};

TEST_CASE(
    "the vector path gives the bits of the portable one, at any alignment, size, and number of arrays") {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(400); ++seed) {
    CAPTURE(seed);
    const DType dtype = dtypes[noise(seed, 0, 0) % 4];
    const auto op = static_cast<Op>(noise(seed, 0, 1) % 3);
    const std::size_t n = 1 + noise(seed, 0, 2) % 9;
    const std::size_t m = 1 + noise(seed, 0, 3) % 5;
    const std::size_t count = noise(seed, 0, 4) % 1500;
    const std::size_t element = runtime::size_of(dtype);
    const std::size_t shift = noise(seed, 0, 5) % 16 * element;
    std::vector<std::vector<std::byte>> arrays;
    const void* sources[9];
    for (std::size_t s = 0; s < n; ++s) {
      arrays.push_back(input(seed, static_cast<std::uint32_t>(s + 1), count, dtype));
      arrays.back().insert(arrays.back().begin(), shift, std::byte{0});
      sources[s] = arrays.back().data() + shift;
    }
    std::vector<std::vector<std::byte>> fast(m), slow(m);
    void* targets[2][5];
    for (std::size_t t = 0; t < m; ++t) {
      // One byte pattern before and after shows writes outside the array.
      fast[t].assign(shift + count * element + 64, std::byte{0xa5});
      slow[t] = fast[t];
      targets[0][t] = fast[t].data() + shift;
      targets[1][t] = slow[t].data() + shift;
    }
    Reduction reduction{.dtype = dtype,
                        .op = op,
                        .count = count,
                        .sources = sources,
                        .n_sources = n,
                        .targets = targets[0],
                        .n_targets = m,
                        .streaming = noise(seed, 0, 6) % 2 == 0};
    collective::reduce(reduction);
    reduction.targets = targets[1];
    collective::reduce_portable(reduction);
    CHECK(fast == slow);
  }
}

TEST_CASE("every half float survives the vector path as it survives the portable one") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    std::vector<std::uint16_t> all, fast(65536), slow(65536);
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      const float value = dtype == DType::f16 ? static_cast<float>(runtime::Float16::from_bits(half))
                                              : static_cast<float>(runtime::BFloat16::from_bits(half));
      if (value == value) all.push_back(half);  // a NaN is only promised to stay one
    }
    const void* sources[] = {all.data(), all.data()};
    void* target = fast.data();
    Reduction reduction{.dtype = dtype,
                        .count = all.size(),
                        .sources = sources,
                        .n_sources = 2,
                        .targets = &target,
                        .n_targets = 1};
    collective::reduce(reduction);
    target = slow.data();
    collective::reduce_portable(reduction);
    CHECK(fast == slow);
    reduction.op = Op::max;
    collective::reduce(reduction);
    CHECK(std::memcmp(slow.data(), all.data(), all.size() * 2) == 0);
  }
}

TEST_CASE("integers wrap instead of overflowing") {
  const std::int32_t most = 0x7fffffff;
  std::vector<std::int32_t> a(40, most), b(40, 1), out(40);
  const void* sources[] = {a.data(), b.data()};
  void* target = out.data();
  collective::reduce({.dtype = DType::i32,
                      .count = 40,
                      .sources = sources,
                      .n_sources = 2,
                      .targets = &target,
                      .n_targets = 1});
  for (const std::int32_t value : out) CHECK(value == -most - 1);
}

TEST_CASE("copying around the caches copies everything and nothing else") {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(200); ++seed) {
    CAPTURE(seed);
    const std::size_t bytes = noise(seed, 0, 0) % 700;
    const std::size_t from = noise(seed, 0, 1) % 33;
    const std::size_t to = noise(seed, 0, 2) % 33;
    const std::vector<std::byte> source = input(seed, 0, 200, DType::i32);
    std::vector<std::byte> target(800, std::byte{0x5a}), expected = target;
    collective::copy(target.data() + to, source.data() + from, bytes, true);
    std::memcpy(expected.data() + to, source.data() + from, bytes);
    CHECK(target == expected);
  }
}

TEST_CASE("parts cover an array exactly once, whatever its size") {
  for (std::size_t count = 0; count < 300; ++count) {
    for (std::size_t parts = 1; parts <= 64; parts += 7) {
      std::size_t near = 0, lines = 0;
      for (std::size_t i = 0; i < parts; ++i) {
        const collective::Span a = collective::near_equal(count, parts, i);
        const collective::Span b = collective::line_parts(count, parts, i, 4);
        CHECK(a.first == near);
        CHECK((b.count == 0 || b.first == lines));
        CHECK((b.count == 0 || b.first % 16 == 0));
        near += a.count;
        lines += b.count;
      }
      CHECK(near == count);
      CHECK(lines == count);
    }
  }
}

}  // namespace
}  // namespace troupe::comm::test
