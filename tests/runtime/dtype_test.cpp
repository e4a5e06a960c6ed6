#include "troupe/runtime/dtype.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>

#include "support/random.hpp"

namespace {

using namespace troupe::runtime;

TEST_CASE("dtypes keep the numbers and sizes of the kernel ABI") {
  const std::size_t sizes[] = {4, 2, 4, 2, 1, 1, 2, 8, 8, 2, 4, 1, 1, 1, 1};
  const char* names[] = {"f32", "f16", "i32", "i16",  "i8",     "u8",     "bf16",  "i64",
                         "u64", "u16", "u32", "bool", "f8e4m3", "f8e8m0", "f4e2m1"};
  for (std::uint8_t i = 0; i < 15; ++i) {
    CHECK(size_of(static_cast<DType>(i)) == sizes[i]);
    CHECK(name_of(static_cast<DType>(i)) == names[i]);
    CHECK(dtype_from_name(names[i]) == static_cast<DType>(i));
    CHECK(is_dtype(i));
  }
  CHECK(DType::boolean == static_cast<DType>(11));
  CHECK(DType::f64 == static_cast<DType>(64));
  CHECK(size_of(DType::f64) == 8);
  CHECK(dtype_from_name("f64") == DType::f64);
  CHECK(dtype_from_name("float64") == DType::f64);
  CHECK(dtype_from_name("bfloat16") == DType::bf16);
}

TEST_CASE("a number or name that is no dtype is recognised") {
  CHECK_FALSE(is_dtype(15));
  CHECK_FALSE(is_dtype(63));
  CHECK_FALSE(is_dtype(65));
  CHECK_FALSE(is_dtype(255));
  CHECK(size_of(static_cast<DType>(15)) == 0);
  CHECK(name_of(static_cast<DType>(200)) == "?");
  CHECK_FALSE(dtype_from_name("float").has_value());
  CHECK_FALSE(dtype_from_name("").has_value());
}

TEST_CASE("each element type has its dtype, and only those") {
  CHECK(dtype_of<float> == DType::f32);
  CHECK(dtype_of<const float> == DType::f32);
  CHECK(dtype_of<Float16> == DType::f16);
  CHECK(dtype_of<BFloat16> == DType::bf16);
  CHECK(dtype_of<std::int64_t> == DType::i64);
  CHECK(dtype_of<bool> == DType::boolean);
  CHECK(dtype_of<double> == DType::f64);
  CHECK_FALSE(Element<long double>);
  CHECK_FALSE(Element<char*>);
}

/// The neighbour of a non-negative finite half, as a number; the one above the largest counts as 65536.
double value_of(std::uint32_t magnitude) {
  return magnitude == 0x7C00 ? 65536.0
                             : double(float(Float16::from_bits(static_cast<std::uint16_t>(magnitude))));
}

bool is_nearest(float value) {
  const Float16 half(value);
  const std::uint32_t magnitude = half.bits & 0x7FFFU;
  if ((half.bits >> 15U != 0) != std::signbit(value)) return false;
  if (std::isnan(value)) return magnitude > 0x7C00;
  const double exact = std::fabs(double(value));
  if (exact >= 65520.0) return magnitude == 0x7C00;  // halfway between the largest and 65536 goes up
  if (magnitude >= 0x7C00) return false;
  const double here = std::fabs(exact - value_of(magnitude));
  const double above = std::fabs(exact - value_of(magnitude + 1));
  const double below = magnitude == 0 ? above + 1 : std::fabs(exact - value_of(magnitude - 1));
  const bool even = magnitude % 2 == 0;
  return even ? here <= above && here <= below : here < above && here < below;
}

TEST_CASE("every half survives the way to float and back, NaNs stay NaNs") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Float16 half = Float16::from_bits(static_cast<std::uint16_t>(bits));
    const BFloat16 brain = BFloat16::from_bits(static_cast<std::uint16_t>(bits));
    const bool ok =
        std::isnan(float(half)) ? std::isnan(float(Float16(float(half)))) : Float16(float(half)) == half;
    const bool brain_ok = std::isnan(float(brain)) ? std::isnan(float(BFloat16(float(brain))))
                                                   : BFloat16(float(brain)) == brain;
    if (!ok || !brain_ok) FAIL("bits ", bits);
  }
}

TEST_CASE("halves have the values of IEEE 754") {
  CHECK(float(Float16::from_bits(0x3C00)) == 1.0F);
  CHECK(float(Float16::from_bits(0x7BFF)) == 65504.0F);
  CHECK(float(Float16::from_bits(0x0001)) == 0x1p-24F);
  CHECK(float(Float16::from_bits(0x0400)) == 0x1p-14F);
  CHECK(float(Float16::from_bits(0xFC00)) == -std::numeric_limits<float>::infinity());
  CHECK(Float16(-0.0F).bits == 0x8000);
  CHECK(float(BFloat16::from_bits(0x3F80)) == 1.0F);
  CHECK(BFloat16(std::numeric_limits<float>::max()).bits == 0x7F80);  // rounds up to infinity
}

TEST_CASE("floats round to the nearest half, ties to even") {
  for (std::uint32_t bits = 0; bits < 0x7C00; ++bits) {  // every half, and the float halfway to the next
    const float here = float(Float16::from_bits(static_cast<std::uint16_t>(bits)));
    const float halfway = static_cast<float>((value_of(bits) + value_of(bits + 1)) / 2);
    for (const float value :
         {here, halfway, std::nextafter(halfway, 0.0F), std::nextafter(halfway, 1e9F), -halfway}) {
      if (!is_nearest(value)) FAIL("value ", value);
    }
  }
  std::mt19937 random(static_cast<std::uint32_t>(troupe::test::first_seed()));
  for (std::uint64_t i = 0; i < troupe::test::cases(200'000); ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (!is_nearest(value)) FAIL("float bits ", bits);
    if (std::isnan(value)) continue;
    const BFloat16 brain(value);  // the bits below decide: round half to even
    const std::uint32_t low = bits & 0xFFFFU;
    const bool up = low > 0x8000U || (low == 0x8000U && (bits >> 16U) % 2 == 1);
    if (brain.bits != (bits >> 16U) + (up ? 1U : 0U)) FAIL("float bits ", bits);
  }
}

}  // namespace
