#include "troupe/runtime/tensor.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace troupe::runtime;
using troupe::Error;

constexpr BufferRef arena_1{1, 7, 4096};
constexpr std::uint64_t big = 1ULL << 32U;

bool fails(const troupe::Result<Tensor>& result, Errc code, std::string_view part) {
  if (result.has_value()) return false;
  INFO(result.error().what());
  CHECK(std::string(result.error().what()).find(part) != std::string::npos);
  return result.error() == code;
}

TEST_CASE("a tensor knows its extents, strides and bytes") {
  const Tensor tensor = Tensor::create(arena_1, 4096, 256, {4, 5, 6}, DType::f16).value();
  CHECK(tensor.shape() == Shape(4, 5, 6));
  CHECK(tensor.strides() == Shape(30, 6, 1));
  CHECK(tensor.elements() == 120);
  CHECK(tensor.bytes() == 240);
  CHECK(tensor.byte_extent() == 240);
  CHECK(tensor.is_contiguous());
  CHECK(tensor.buffer() == arena_1);
  CHECK(tensor.byte_offset() == 256);
  CHECK(to_string(tensor) == "f16[4, 5, 6] at byte 256");
}

TEST_CASE("host memory becomes a tensor, and its address comes back") {
  std::vector<float> data(128);
  const Tensor tensor = Tensor::host(data.data(), {8, 16});
  CHECK(tensor.buffer().is_host());
  CHECK(tensor.dtype() == DType::f32);
  CHECK(tensor.host_address() == data.data());
  CHECK(tensor.rows(2, 4).host_address() == data.data() + 32);
  CHECK(Tensor::create(arena_1, 64, 0, {4}, DType::f32).value().host_address() == nullptr);
  CHECK_THROWS_AS((void)Tensor::host<float>(nullptr, {4}), Error);
  CHECK_THROWS_AS((void)Tensor::host_bytes(reinterpret_cast<const char*>(data.data()) + 1, {4}, DType::f32),
                  Error);
}

TEST_CASE("a default tensor describes nothing, an unallocated one has no memory") {
  CHECK_FALSE(Tensor().valid());
  CHECK(to_string(Tensor()) == "no tensor");
  CHECK(Tensor().elements() == 0);
  CHECK_FALSE(Tensor::validate(Tensor()).has_value());
  const Tensor wanted = Tensor::unallocated({3, 4}, DType::i64);
  CHECK(wanted.valid());
  CHECK_FALSE(wanted.allocated());
  CHECK(wanted.bytes() == 96);
  CHECK(wanted.in_buffer(arena_1).allocated());
}

TEST_CASE("shapes that cannot be are refused by name") {
  const auto create = [](const Shape& shape, DType dtype = DType::f32) {
    return Tensor::create(arena_1, 1 << 20, 0, shape, dtype);
  };
  CHECK(fails(create({}), Errc::invalid_shape, "no dimension"));
  CHECK(fails(create({4, -1}), Errc::invalid_shape, "[4, -1]"));
  CHECK(fails(create({big, 1}), Errc::invalid_shape, "extent 0"));
  CHECK(fails(create({big - 1, big - 1, big - 1}), Errc::size_overflow, "elements"));
  CHECK(fails(create({2, 70000, 70000}), Errc::size_overflow, "stride 0"));
  CHECK(fails(create({1024, 1024}), Errc::out_of_range, "ends at byte 4194304 of a buffer of 1048576"));
  CHECK(fails(create({4}, static_cast<DType>(15)), Errc::unknown_dtype, "15"));
  const std::uint64_t six[] = {1, 1, 1, 1, 1, 1};
  CHECK(Shape::from(six).error() == Errc::invalid_shape);
  CHECK(fails(Tensor::create_unallocated({big - 1, big - 1, 2}, DType::u64), Errc::size_overflow, "f"));
}

TEST_CASE("offsets, buffers and strides that cannot be are refused by name") {
  const auto at = [](std::uint64_t bytes, std::uint64_t offset) {
    return Tensor::create(arena_1, bytes, offset, {4}, DType::f32);
  };
  CHECK(at(16, 0).has_value());
  CHECK(fails(at(15, 0), Errc::out_of_range, "ends at byte 16"));
  CHECK(fails(at(64, 52), Errc::out_of_range, "at byte 52"));
  CHECK(fails(at(64, 2), Errc::misaligned, "multiple of 4"));
  CHECK(fails(at(~0ULL, 0), Errc::size_overflow, "address space"));
  CHECK(fails(at(64, ~0ULL - 3), Errc::size_overflow, "64 bits"));
  const auto strided = [](const Shape& shape, const Shape& strides) {
    return Tensor::create_strided(arena_1, 1024, 0, shape, strides, DType::u8);
  };
  CHECK(strided({4, 4}, {256, 1}).has_value());
  CHECK(fails(strided({4, 4}, {1}), Errc::invalid_shape, "strides [1]"));
  CHECK(fails(strided({2, 4}, {big, 1}), Errc::size_overflow, "stride 0"));
  CHECK(fails(strided({4, 4}, {400, 1}), Errc::out_of_range, "ends at byte 1204"));
  CHECK(fails(
      strided({big - 1, big - 1, big - 1, big - 1, big - 1}, {big - 1, big - 1, big - 1, big - 1, big - 1}),
      Errc::size_overflow, "64 bits"));
  // A broadcast lies inside its buffer, but its element count must still be countable.
  CHECK(strided({1000, 4}, {0, 1}).has_value());
  CHECK(fails(strided({big - 1, big - 1, big - 1}, {0, 0, 0}), Errc::size_overflow, "64 bits"));
}

TEST_CASE("the largest extents are legal") {
  const Tensor tensor = Tensor::create(arena_1, big - 1, 0, {big - 1}, DType::u8).value();
  CHECK(tensor.elements() == big - 1);
  CHECK(tensor.slice(0, big - 2, big - 1).byte_offset() == big - 2);
  // A stride that is never used does not have to fit.
  CHECK(Tensor::create(arena_1, 1ULL << 40U, 0, {1, 1U << 20U, 1U << 20U}, DType::u8).has_value());
}

TEST_CASE("empty tensors touch no byte and keep their place") {
  const Tensor tensor = Tensor::create(arena_1, 256, 0, {4, 0, 8}, DType::f32).value();
  CHECK(tensor.empty());
  CHECK(tensor.byte_extent() == 0);
  CHECK(tensor.is_contiguous());
  const Tensor full = Tensor::create(arena_1, 128, 0, {4, 8}, DType::f32).value();
  CHECK(full.rows(4, 4).empty());
  CHECK(full.rows(4, 4).byte_offset() == 0);
  CHECK(full.slice(1, 8, 8).rows(1, 3).byte_offset() == 0);
  CHECK(full.rows(2, 2).reshape({0}).empty());
  CHECK(Tensor::validate(full.rows(4, 4)).has_value());
}

TEST_CASE("validate finds each broken invariant in the bytes of a tensor") {
  const Tensor good = Tensor::create(arena_1, 4096, 64, {4, 8}, DType::f32).value();
  REQUIRE(Tensor::validate(good).has_value());
  const auto broken = [&](std::size_t at, std::uint8_t byte) {
    unsigned char bytes[sizeof(Tensor)];
    std::memcpy(bytes, &good, sizeof bytes);
    bytes[at] = byte;
    Tensor tensor;
    std::memcpy(static_cast<void*>(&tensor), bytes, sizeof bytes);
    const auto result = Tensor::validate(tensor);
    return result.has_value() ? Errc{} : static_cast<Errc>(result.error().code().value);
  };
  CHECK(broken(72, 15) == Errc::unknown_dtype);
  CHECK(broken(73, 0) == Errc::wire_malformed);  // extents of dimensions that are not there
  CHECK(broken(73, 6) == Errc::invalid_shape);
  CHECK(broken(73, 255) == Errc::invalid_shape);
  CHECK(broken(79, 1) == Errc::wire_malformed);
  CHECK(broken(40, 1) == Errc::wire_malformed);  // extent of an unused dimension
  CHECK(broken(35, 1) == Errc::out_of_range);    // extent 0 of 2^24 rows
  CHECK(broken(24, 2) == Errc::misaligned);      // byte offset
  CHECK(broken(31, 0x80) == Errc::out_of_range);
  CHECK(broken(17, 0) == Errc::out_of_range);  // a smaller buffer
}

TEST_CASE("buffer references compare and hash by arena, generation and offset") {
  CHECK(BufferRef{}.allocated() == false);
  CHECK_FALSE(BufferRef{1, 0, 0} == BufferRef{1, 1, 0});
  const BufferRefHash hash;
  CHECK(hash({1, 2, 3}) == hash({1, 2, 3}));
  CHECK(hash({1, 2, 3}) != hash({2, 1, 3}));
}

}  // namespace
